import type { Context } from "hono";
import { sendPage } from "../page-response.ts";
import { type Frame, FramedPage } from "./frame.tsx";

export function sendMissing(c: Context, frame: Frame): Promise<Response> {
  const page = (
    <FramedPage frame={frame} title="Not found">
      <section class="card notice">
        <h1>Not found</h1>
        <p>
          There is nothing at this address, or it is somebody else's.{" "}
          <a href="/console/emails">All emails</a>
        </p>
      </section>
    </FramedPage>
  );
  return sendPage(c, page, 404);
}
