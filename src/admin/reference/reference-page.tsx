import { raw } from "hono/html";
import type { Child } from "hono/jsx";
import { renderMarkdown } from "../docs/render-markdown.ts";
import type { Field, ReferenceGroup, ReferenceOperation } from "./reference-model.ts";
import { curlOf, typescriptOf } from "./request-samples.ts";

/** The operations of one group: words on the left, request and answer on the right. */
export function ReferenceArticle({ group }: { group: ReferenceGroup }) {
  return (
    <article class="docs-text reference">
      <h1>{group.name}</h1>
      {markdown(group.description)}
      {group.operations.map((operation) => (
        <Operation operation={operation} />
      ))}
    </article>
  );
}

function Operation({ operation }: { operation: ReferenceOperation }) {
  const { id, summary, method, path, description } = operation;
  return (
    <section class="operation" aria-labelledby={id}>
      <h2 id={id}>
        {summary}{" "}
        <a class="anchor" href={`#${id}`} aria-label="Link to this operation">
          #
        </a>
      </h2>
      <div class="operation-words">
        <p class="endpoint">
          <Method method={method} /> <code>{path}</code>
        </p>
        {markdown(description)}
        <Inputs operation={operation} />
        <Answers operation={operation} />
        <Failures operation={operation} />
      </div>
      <div class="operation-samples">
        <Samples operation={operation} />
        <TryIt operation={operation} />
      </div>
    </section>
  );
}

export function Method({ method }: { method: string }) {
  return <span class={`method method-${method.toLowerCase()}`}>{method}</span>;
}

const places = { path: "In the path", query: "In the query", header: "Headers" } as const;

function Inputs({ operation: { id, parameters, body } }: { operation: ReferenceOperation }) {
  return (
    <>
      {(["path", "query", "header"] as const).map((place) => {
        const fields = parameters.filter((one) => one.place === place);
        return (
          fields.length > 0 && (
            <>
              <h3>{places[place]}</h3>
              <Fields fields={fields} />
            </>
          )
        );
      })}
      {body !== null && body.fields.length > 0 && (
        <>
          <h3 id={`${id}-body`}>
            Body{!body.isRequired && <span class="quiet"> may be left out</span>}
          </h3>
          <Fields fields={body.fields} />
        </>
      )}
    </>
  );
}

function Answers({ operation: { answers } }: { operation: ReferenceOperation }) {
  return answers.map(({ status, description, type, fields }) => (
    <>
      <h3>
        Answer {status} <span class="quiet">{type}</span>
      </h3>
      {markdown(description)}
      {fields.length > 0 && (
        <details class="fields-more">
          <summary>Fields of the answer</summary>
          <Fields fields={fields} isAnswer />
        </details>
      )}
    </>
  ));
}

function Failures({ operation: { failures } }: { operation: ReferenceOperation }) {
  return (
    <details class="fields-more">
      <summary>How it fails: {failures.length} codes</summary>
      <ul class="failures">
        {failures.map(({ status, code, title }) => (
          <li>
            <span class="status">{status}</span>{" "}
            <a href={`/docs/problems/${code}`}>
              <code>{code}</code>
            </a>{" "}
            {title}
          </li>
        ))}
      </ul>
    </details>
  );
}

/** A request names what it must have; an answer what it may lack. */
function Fields({ fields, isAnswer = false }: { fields: readonly Field[]; isAnswer?: boolean }) {
  return (
    <dl class="fields">
      {fields.map((field) => (
        <div id={field.id}>
          <dt>
            <a href={`#${field.id}`}>
              <code>{field.name}</code>
            </a>{" "}
            <span class="type">{field.type}</span>
            {!isAnswer && field.isRequired && <span class="required">required</span>}
            {isAnswer && !field.isRequired && <span class="type">not always</span>}
          </dt>
          <dd>
            {markdown(field.description)}
            {field.fields.length > 0 && (
              <details>
                <summary>{field.fields.length} fields</summary>
                <Fields fields={field.fields} isAnswer={isAnswer} />
              </details>
            )}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Samples({ operation }: { operation: ReferenceOperation }) {
  const { id, answers } = operation;
  return (
    <>
      <div class="samples" data-tabs="">
        <Code id={`${id}-curl`} label="curl" text={curlOf(operation)} />
        <Code id={`${id}-ts`} label="TypeScript" text={typescriptOf(operation)} />
      </div>
      {answers.map(({ status, type, example }) => (
        <Code id={`${id}-${status}`} label={`Answer ${status}`} text={exampleText(type, example)} />
      ))}
    </>
  );
}

function exampleText(type: string, example: unknown): string {
  return type.endsWith("json") ? JSON.stringify(example, null, 2) : String(example);
}

function Code({ id, label, text }: { id: string; label: string; text: string }) {
  return (
    <div class="code" data-label={label}>
      <div class="code-bar">
        <span>{label}</span>
        <button type="button" data-copy={id}>
          Copy
        </button>
      </div>
      <pre tabindex={0}>
        <code id={id}>{text}</code>
      </pre>
    </div>
  );
}

/** Shown by reference.js alone: without it there is nothing to send with. */
function TryIt({ operation }: { operation: ReferenceOperation }) {
  const { id, method, path, parameters, body } = operation;
  const [example] = body?.examples ?? [];
  const fields = parameters.filter(({ place }) => place !== "header");
  return (
    <details class="try" hidden data-try={`${method} ${path}`}>
      <summary>Try it</summary>
      <form>
        {fields.map(({ name, place, example: value, isRequired }) => (
          <label>
            <span>{name}</span>
            <input
              name={name}
              data-place={place}
              placeholder={String(typeof value === "object" ? "" : value)}
              required={isRequired}
              autocomplete="off"
            />
          </label>
        ))}
        {body !== null && (
          <label>
            <span>Body</span>
            <textarea name="body" spellcheck={false} rows={8}>
              {JSON.stringify(example?.value ?? {}, null, 2)}
            </textarea>
          </label>
        )}
        <p class="try-send">
          <button type="submit" class="primary">
            Send
          </button>
          <span class="quiet">as you are signed in, to this server</span>
        </p>
        <output id={`${id}-try`} />
      </form>
    </details>
  );
}

function markdown(text: string): Child {
  return raw(renderMarkdown(text, "api").html);
}
