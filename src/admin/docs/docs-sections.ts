import type { Child } from "hono/jsx";
import backup from "../../../public/docs/backup.md" with { type: "text" };
import capacity from "../../../public/docs/capacity.md" with { type: "text" };
import commandLine from "../../../public/docs/command-line.md" with { type: "text" };
import comparison from "../../../public/docs/comparison.md" with { type: "text" };
import concepts from "../../../public/docs/concepts.md" with { type: "text" };
import configuration from "../../../public/docs/configuration.md" with { type: "text" };
import deployment from "../../../public/docs/deployment.md" with { type: "text" };
import deploymentCoolify from "../../../public/docs/deployment-coolify.md" with { type: "text" };
import deploymentDocker from "../../../public/docs/deployment-docker.md" with { type: "text" };
import deploymentFly from "../../../public/docs/deployment-fly.md" with { type: "text" };
import faq from "../../../public/docs/faq.md" with { type: "text" };
import guarantees from "../../../public/docs/guarantees.md" with { type: "text" };
import start from "../../../public/docs/index.md" with { type: "text" };
import operations from "../../../public/docs/operations.md" with { type: "text" };
import quickStart from "../../../public/docs/quick-start.md" with { type: "text" };
import resend from "../../../public/docs/resend.md" with { type: "text" };
import runbook from "../../../public/docs/runbook.md" with { type: "text" };
import security from "../../../public/docs/security.md" with { type: "text" };
import sending from "../../../public/docs/sending.md" with { type: "text" };
import supabase from "../../../public/docs/supabase.md" with { type: "text" };
import testing from "../../../public/docs/testing-your-code.md" with { type: "text" };
import times from "../../../public/docs/times.md" with { type: "text" };
import troubleshooting from "../../../public/docs/troubleshooting.md" with { type: "text" };
import webhooks from "../../../public/docs/webhooks.md" with { type: "text" };
import type { RenderedPage } from "./render-markdown.ts";

/** One page of the documentation. Its title is the text's first line, `# Title`. */
export interface DocsPage {
  /** Below `/docs/`, without `.md`: `webhooks`, `problems/not_found`. */
  readonly path: string;
  /** Markdown, as the repository has it, or as it is made. */
  readonly text: string;
  /** Takes the place of the rendered text; absent: the text is shown. */
  readonly shown?: {
    readonly article: () => Child;
    readonly headings: RenderedPage["headings"];
  };
}

export interface DocsSection {
  /** Null: its pages are reached by links alone and stand in no list. */
  readonly title: string | null;
  readonly pages: readonly DocsPage[];
}

/** Every page of the documentation, in the order of the sidebar. */
export const docsSections: readonly DocsSection[] = [
  {
    title: "Start",
    pages: [
      { path: "index", text: start },
      { path: "quick-start", text: quickStart },
      { path: "concepts", text: concepts },
      { path: "guarantees", text: guarantees },
    ],
  },
  {
    title: "Sending",
    pages: [
      { path: "sending", text: sending },
      { path: "times", text: times },
      { path: "webhooks", text: webhooks },
      { path: "resend", text: resend },
      { path: "testing-your-code", text: testing },
    ],
  },
  {
    title: "Deployment",
    pages: [
      { path: "deployment", text: deployment },
      { path: "deployment-docker", text: deploymentDocker },
      { path: "deployment-fly", text: deploymentFly },
      { path: "deployment-coolify", text: deploymentCoolify },
      { path: "supabase", text: supabase },
    ],
  },
  {
    title: "Operation",
    pages: [
      { path: "operations", text: operations },
      { path: "capacity", text: capacity },
      { path: "troubleshooting", text: troubleshooting },
      { path: "runbook", text: runbook },
      { path: "backup", text: backup },
      { path: "security", text: security },
    ],
  },
  {
    title: "Reference",
    pages: [
      { path: "configuration", text: configuration },
      { path: "command-line", text: commandLine },
      { path: "faq", text: faq },
      { path: "comparison", text: comparison },
    ],
  },
];
