/** What the package exports; within this repository the files are imported themselves. */
export type { Call, Entry, Input, ListId, OperationId, Output, Schemas } from "./call-types.ts";
export { type Client, type ClientOptions, createClient } from "./client.ts";
export type { FollowOptions, MailerEvent } from "./follow.ts";
export { MailerError, type MailerErrorCode } from "./mailer-error.ts";
