import type { ApiContext } from "../api-env.ts";
import type { AppDeps, Health } from "../app-deps.ts";

const answerWithinMs = 4_000;
const silent: Health = {
  status: "down",
  accepting: false,
  components: { process: { status: "down", reason: "no answer within 4 seconds" } },
};

/** GET /health: which parts it runs on and how they are; 503 when it is down. */
export function createHealth(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const { status, components } = await look(deps);
    return status === "down" ? down(c, { status, components }) : c.json({ status, components });
  };
}

/** GET /health/live: the process answers. */
export function createLive() {
  return async (c: ApiContext): Promise<Response> => c.json({ status: "ok" });
}

/** GET /health/ready: whether a POST would be taken now. */
export function createReady(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    if (deps.isDraining()) return down(c, { status: "down", reason: "shutting down" });
    const { status, accepting } = await look(deps);
    return accepting ? c.json({ status }) : down(c, { status });
  };
}

function down(c: ApiContext, body: object): Response {
  return c.json(body, 503, { "Retry-After": "5" });
}

/** A part that hangs must not make the question hang. */
async function look(deps: AppDeps): Promise<Health> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<Health>((resolve) => {
    timer = setTimeout(() => resolve(silent), answerWithinMs);
  });
  try {
    return await Promise.race([deps.health(), late]);
  } catch (err) {
    deps.log.error("health could not be told", { err });
    return { ...silent, components: {} };
  } finally {
    clearTimeout(timer);
  }
}
