import { describe, expect, test } from "bun:test";
import { Hono } from "hono";
import { routesOf } from "../../http/app.ts";
import type { AppDeps } from "../../http/app-deps.ts";
import { describeApi } from "../../http/openapi/document.ts";
import { operations } from "../../http/openapi/operations.ts";
import { mountAssets } from "../assets.ts";
import { mountDocs } from "../docs/docs-routes.tsx";
import { readReference } from "./reference-model.ts";
import { referencePages } from "./reference-pages.tsx";
import { curlOf, typescriptOf } from "./request-samples.ts";

// Nothing is called: the table alone is looked at.
const document = describeApi(routesOf({} as AppDeps), operations, "0.0.0");
const groups = readReference(document);
const pages = referencePages(document);
const app = new Hono();
mountAssets(app);
mountDocs(app, [{ title: "API", pages }]);

async function get(path: string): Promise<string> {
  const response = await app.request(path);
  expect([path, response.status]).toEqual([path, 200]);
  return await response.text();
}

const idsOf = (html: string) => Array.from(html.matchAll(/ id="([^"]*)"/g), ([, id = ""]) => id);

describe("the reference", () => {
  test("has a section for every operation, with both samples and every failure", async () => {
    const shown = groups.flatMap((group) => group.operations.map(({ id }) => id));
    expect(shown.toSorted()).toEqual(operations.map(({ id }) => id).toSorted());
    for (const { slug, operations: listed } of groups) {
      const ids = idsOf(await get(`/docs/api/${slug}`));
      for (const { id } of listed) {
        for (const part of [id, `${id}-curl`, `${id}-ts`]) expect(ids).toContain(part);
      }
    }
  });

  test("every parameter, and every field of a body or an answer, is a place to link to", async () => {
    for (const { slug, operations: listed } of groups) {
      const ids = idsOf(await get(`/docs/api/${slug}`));
      expect(new Set(ids).size).toBe(ids.length);
      for (const { id, parameters, body, answers } of listed) {
        for (const { name } of parameters)
          expect(ids).toContain(`${id}.${name.replace(/\..*/, "")}`);
        for (const { name } of body?.fields ?? []) expect(ids).toContain(`${id}.${name}`);
        for (const { status, fields } of answers) {
          for (const { name } of fields) expect(ids).toContain(`${id}.${status}.${name}`);
        }
      }
    }
    const emails = idsOf(await get("/docs/api/emails"));
    expect(emails).toContain("scheduleMail.attachments.content_id");
    expect(emails).toContain("getStatus.200.data.attempts.smtp_code");
  });

  test("the overview leads to every operation", async () => {
    const html = await get("/docs/api");
    for (const { slug, operations: listed } of groups) {
      for (const { id } of listed) expect(html).toContain(` href="/docs/api/${slug}#${id}"`);
    }
  });

  test("nothing on a page is inline or from elsewhere, and its files are there", async () => {
    for (const { path } of pages) {
      const html = await get(`/docs/${path}`);
      expect(html).not.toMatch(/\s(?:style|on\w+)="|<style|<script(?! src="\/assets\/)/);
      for (const [, source = ""] of html.matchAll(/ (?:src|href)="(\/assets[^"]*)"/g)) {
        await get(source);
      }
    }
  });

  test("its colours are those of the console", async () => {
    const style = await get("/assets/style.css");
    for (const [, name] of (await get("/assets/reference.css")).matchAll(/var\((--[\w-]+)\)/g)) {
      expect([name, style.includes(`${name}:`)]).toEqual([name, true]);
    }
  });

  test("every page is served as Markdown, with the same operations and fields", async () => {
    for (const { slug, operations: listed } of groups) {
      const text = await get(`/docs/api/${slug}.md`);
      for (const { summary, method, path, body } of listed) {
        expect(text).toContain(`## ${summary}\n\n\`${method} ${path}\``);
        for (const { name } of body?.fields ?? []) expect(text).toContain(`- \`${name}\` (`);
      }
    }
  });
});

describe("samples", () => {
  const find = (id: string) => {
    const found = groups.flatMap((group) => group.operations).find((one) => one.id === id);
    if (found === undefined) throw new Error(`${id} is gone`);
    return found;
  };

  test("curl quotes what a shell would read", () => {
    expect(curlOf(find("cancelEmail"))).toBe(
      "curl -X DELETE 'https://mail.example.com/api/v1/cancel/01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10' \\\n" +
        '  -H "Authorization: Bearer $TASKFORCE_MAILER_TOKEN"',
    );
    expect(curlOf(find("getHealth"))).toBe("curl 'https://mail.example.com/health'");
    expect(curlOf(find("updateEmail"))).toContain(`-H 'If-Match: "1"'`);
  });

  test("TypeScript calls the typed client", () => {
    expect(typescriptOf(find("sendTestEmail"))).toContain(
      "await mailer.sendTestEmail({\n" +
        '  idempotencyKey: "order-8713-confirmation",\n' +
        '  body: {\n    to: "ada@example.com"\n  },\n});',
    );
  });
});
