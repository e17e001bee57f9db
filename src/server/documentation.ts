import type { Context, Hono } from "hono";
import { mountDocs } from "../admin/docs/docs-routes.tsx";
import { type DocsSection, docsSections } from "../admin/docs/docs-sections.ts";
import { mountLlmsText } from "../admin/docs/llms-text.ts";
import { referencePages } from "../admin/reference/reference-pages.tsx";
import { mountTryIt } from "../admin/reference/try-it.ts";
import type { Visitors } from "../admin/session/visitor.ts";
import type { Principal } from "../auth/principal.ts";
import { type DescribedRoute, describeApi } from "../http/openapi/document.ts";
import { operations } from "../http/openapi/operations.ts";
import { problemPages, problemsIndex } from "../http/problem-pages.ts";
import { version } from "../version.ts";

export interface DocumentationDeps {
  routes: readonly DescribedRoute[];
  visitors: Visitors;
  /** Answers a request to the API on behalf of somebody who has been recognised already. */
  call: (request: Request, principal: Principal, c: Context) => Promise<Response>;
}

/** `/docs` and all below it, and `/llms.txt`. Mounted last: it answers 404 for what is no page. */
export function mountDocumentation(app: Hono, { routes, visitors, call }: DocumentationDeps): void {
  const sections = documentation(routes);
  mountLlmsText(app, sections, (c) => visitors.baseUrl(c));
  mountTryIt(app, { visitors, call });
  mountDocs(app, sections);
}

/** Every page of the documentation: those of public/docs, and those made from the code. */
export function documentation(routes: readonly DescribedRoute[]): DocsSection[] {
  const reference = referencePages(describeApi(routes, operations, version));
  return [
    ...docsSections,
    { title: "API", pages: [...reference, problemsIndex] },
    { title: null, pages: problemPages },
  ];
}
