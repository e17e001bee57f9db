/** The program's settings, read once from the environment and frozen. */
export interface Config {
  readonly role: "all" | "api" | "worker";
  readonly region: string;
  readonly isProduction: boolean;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  readonly http: {
    readonly host: string;
    /** 0: any free port, which is printed. */
    readonly port: number;
    readonly publicUrl: string | null;
    readonly trustProxy: boolean;
  };
  /** Absolute path; captured mails, the embedded database and generated secrets live here. */
  readonly dataDir: string;
  readonly database:
    | { readonly driver: "pglite" }
    | { readonly driver: "postgres"; readonly url: string; readonly readUrl: string | null };
  readonly autoMigrate: boolean;
  readonly queue:
    | { readonly driver: "redis"; readonly url: string }
    | { readonly driver: "postgres" };
  readonly queueHorizonMs: number;
  readonly reconcileIntervalMs: number;
  readonly drainTimeoutMs: number;
  readonly workerConcurrency: number;
  readonly retryBaseMs: number;
  readonly transport: { readonly kind: "capture" } | SmtpSettings;
  readonly sender: {
    /** Default From; null: a request must name one. */
    readonly from: string | null;
    readonly fromName: string | null;
    /** Addresses or domains a request's From may use; null: any. */
    readonly allowed: readonly string[] | null;
  };
  readonly messageBytesMax: number;
  /** Raw text of ENCRYPTION_KEY; null with PGlite until `secrets` generates one. */
  readonly encryptionKey: string | null;
  readonly encryptionKeysOld: readonly string[];
  readonly jwt: {
    readonly secret: string | null;
    readonly issuer: string | null;
    readonly audience: string;
  };
}

export interface SmtpSettings {
  readonly kind: "smtp";
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte. */
  readonly isSecure: boolean;
  readonly tls: "required" | "opportunistic" | "off";
  /** PEM text added to the roots; null: the system's. */
  readonly tlsCa: string | null;
  readonly user: string | null;
  readonly pass: string | null;
  readonly replyTimeoutMs: number;
  readonly poolSize: number;
}
