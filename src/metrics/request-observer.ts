import { Histogram } from "@prometheus-io/client";
import type { SeenRequest } from "../http/app-deps.ts";
import { type Metrics, prefix } from "./metrics.ts";

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** Times requests by what is known beforehand: a path may hold whatever a caller typed. */
export function createRequestObserver({ registry }: Metrics): (seen: SeenRequest) => void {
  const durations = new Histogram({
    name: `${prefix}http_request_duration_seconds`,
    help: "Requests by route pattern and class of status.",
    labelNames: ["method", "route", "status_class"],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: [registry],
  });
  return ({ method, route, status, durationMs }) => {
    const labels = {
      method: methods.includes(method) ? method : "other",
      route: route ?? "other",
      status_class: `${Math.floor(status / 100)}xx`,
    };
    durations.observe(labels, durationMs / 1000);
  };
}
