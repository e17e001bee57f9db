import { expect, test } from "bun:test";
import { loadConfig } from "../config.ts";
import { checkSender, type SenderDns } from "./check-sender.ts";

const config = loadConfig({ SMTP_HOST: "smtp.acme.dev", SMTP_FROM: "no-reply@acme.dev" });

function refusal(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** Knows these names, and says of all others that there is nothing. */
function dnsWith(txt: Record<string, string[]>, mx: unknown[] = [{}]): SenderDns {
  return {
    resolveMx: async () => mx,
    async resolveTxt(name) {
      const found = txt[name];
      if (found === undefined) throw refusal("ENOTFOUND");
      return found.map((text) => [text.slice(0, 5), text.slice(5)]);
    },
  };
}

test("a domain with MX, SPF and DMARC is fine, also when records come in pieces", async () => {
  const dns = dnsWith({
    "acme.dev": ["something=else", "v=spf1 include:_spf.acme.dev -all"],
    "_dmarc.acme.dev": ["v=DMARC1; p=none"],
  });
  const [finding] = await checkSender(config, dns);
  expect(finding).toMatchObject({ status: "ok", advice: null });
});

test("what is missing is a warning that says what to publish, and never a failure", async () => {
  const [finding] = await checkSender(config, dnsWith({ "acme.dev": ["v=spf1 -all"] }, []));
  expect(finding?.status).toBe("warning");
  expect(finding?.saw).toContain("MX missing, SPF there, DMARC missing");
  expect(finding?.advice).toContain("_dmarc");
  expect(finding?.advice).toContain("DKIM");
});

test("without a network it warns, and blames nobody's domain", async () => {
  const gone = () => Promise.reject(refusal("ECONNREFUSED"));
  const [finding] = await checkSender(config, { resolveMx: gone, resolveTxt: gone });
  expect(finding?.status).toBe("warning");
  expect(finding?.saw).toContain("does not answer");
});
