import type { DocsPage } from "../docs/docs-sections.ts";
import { groupMarkdown } from "./reference-markdown.ts";
import { type ApiDocument, type ReferenceGroup, readReference } from "./reference-model.ts";
import { ReferenceArticle } from "./reference-page.tsx";

/** The reference: an overview, and a page for each group of operations. */
export function referencePages(document: ApiDocument): DocsPage[] {
  const groups = readReference(document).filter(({ operations }) => operations.length > 0);
  return [
    { path: "api", text: overview(groups) },
    ...groups.map((group) => ({
      path: `api/${group.slug}`,
      text: groupMarkdown(group),
      shown: {
        headings: group.operations.map(({ id, summary }) => ({ id, text: summary })),
        article: () => <ReferenceArticle group={group} />,
      },
    })),
  ];
}

function overview(groups: readonly ReferenceGroup[]): string {
  const lists = groups.flatMap(({ name, slug, description, operations }) => [
    `### ${name}`,
    "",
    description,
    "",
    "| operation | |",
    "|---|---|",
    ...operations.map(
      ({ id, method, path, summary }) =>
        `| [${summary}](api/${slug}.md#${id}) | \`${method} ${path}\` |`,
    ),
    "",
  ]);
  return [conventions, "## Operations", "", ...lists].join("\n");
}

const conventions = `# API reference

JSON over HTTP, in UTF-8, with names in snake_case. The same as
[OpenAPI 3.1](/openapi.json), made from the schemas that the server validates with.

## Credentials

Every request but those to \`/health\` carries \`Authorization: Bearer …\` with a JWT or an API key.

\`\`\`sh
export TASKFORCE_MAILER_TOKEN=$(taskforce-mailer token --sub ada)
curl http://localhost:3000/api/v1/queue-stats \\
  -H "Authorization: Bearer $TASKFORCE_MAILER_TOKEN"
\`\`\`

An [API key](api/api-keys.md) has scopes: \`send\` accepts, changes and cancels emails, \`read\` reads,
\`admin\` does everything for everybody. What belongs to somebody else looks as if it did not exist.

## Answers

A success is \`{ "success": true, "data": … }\`. A list's \`data\` is an array, and beside it stands
\`page\` with \`limit\` and \`next_cursor\`: give that as \`cursor\` for the next page, until it is null.

A failure is a problem (RFC 9457), \`application/problem+json\`. Branch on its \`code\`;
[every code](problems.md) has a page that says what to do. \`errors\` names each faulty place by its
JSON pointer. Unknown fields and query parameters are refused, so that a misspelt \`schedule_at\` can
never mean "send now".

## Times

RFC 3339 with an offset or Z: \`2030-01-04T09:00:00+01:00\`. A time without an offset is refused.
Answers are in UTC with milliseconds.

## Requests that are repeated

Send \`Idempotency-Key\` with every POST that creates something, a new key for each thing you mean to
happen once. When the answer is lost, send the same request with the same key: it gets the first
answer again, with \`Idempotent-Replayed: true\`, and nothing is doubled.

Read an email's \`version\` and send it as \`If-Match: "3"\` with a change: if somebody else changed it
meanwhile, nothing happens and the answer is 412.

## Limits

600 requests a minute for writing and as many for reading, unless the server says otherwise;
\`RateLimit-Remaining\` tells what is left, and a 429 says in \`Retry-After\` when to come back. 500
emails fit into one [batch](api/emails.md#scheduleBatch).
`;
