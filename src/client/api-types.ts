// Generated from the OpenAPI document by scripts/client-types.ts --write; not by hand.
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        AcceptedEmail: {
            /**
             * Format: uuid
             * @description Id of the email, for every other call.
             */
            id: string;
            /**
             * @description A new email is pending.
             * @constant
             */
            status: "pending";
            /**
             * Format: date-time
             * @description When it is due, in UTC.
             */
            scheduled_at: string;
            /**
             * Format: date-time
             * @description When it was accepted.
             */
            created_at: string;
            /**
             * @description The first.
             * @constant
             */
            version: 1;
            /** @description As it was asked for; only when it was, and still holds. */
            local_time?: string;
            /** @description Of `local_time`. */
            timezone?: string;
            /** @description Of the zone at that instant, such as `+01:00`. */
            utc_offset?: string;
            /**
             * @description Whether clocks skip `local_time` (gap) or show it twice (overlap).
             * @enum {string}
             */
            resolution?: "exact" | "gap" | "overlap";
        };
        /** @description An address: `a@b`, `Name <a@b>` or `{ address, name }`. */
        Address: string | {
            address: string;
            name?: string | null;
        };
        ApiKey: {
            /**
             * Format: uuid
             * @description Id of the key.
             */
            id: string;
            /** @description For whom it acts. */
            owner: string;
            /** @description As given. */
            name: string;
            /** @description How the key begins, to tell it from others. */
            prefix: string;
            /** @description What it may do. */
            scopes: ("send" | "read" | "admin")[];
            /**
             * Format: date-time
             * @description When it was made.
             */
            created_at: string;
            /** @description From when it counts no more; null: never. */
            expires_at: string | null;
            /** @description When it was last used; null: never. */
            last_used_at: string | null;
            /** @description When it was revoked; null: it counts. */
            revoked_at: string | null;
            /** @description The API key that made it, with which it ends; null: a person did. */
            made_by: string | null;
        };
        Attachment: {
            /** @description 1 to 255 characters, without slashes. */
            filename: string;
            /** @description The file in base64: standard alphabet, padded, on one line. */
            content: string;
            /** @description Media type. Default: `application/octet-stream`. */
            contentType?: string | null;
            /** @description Another spelling of `contentType`; not both. */
            content_type?: string | null;
            /** @description For `cid:` links of the HTML; without angle brackets. */
            content_id?: string | null;
        };
        Attempt: {
            /** @description Counts from 1. */
            number: number;
            /**
             * Format: date-time
             * @description When the SMTP transaction began.
             */
            started_at: string;
            /**
             * Format: date-time
             * @description When it ended.
             */
            ended_at: string;
            /**
             * @description What it came to.
             * @enum {string}
             */
            outcome: "sent" | "partial" | "deferred" | "bounced" | "uncertain";
            /** @description SMTP code of the last reply. */
            smtp_code: number | null;
            /** @description Enhanced status code of the reply (RFC 3463). */
            enhanced_code: string | null;
            /** @description What the server said; null when it said nothing, or the content was destroyed. */
            reply: string | null;
            /** @description The next hop, as `host:port`, or `capture`. */
            transport: string;
            /** @description The region that sent it. */
            region: string;
        };
        AuditEntry: {
            /** @description Among everybody's entries. */
            position: number;
            /** @description Among the owner's entries, without a gap. */
            number: number;
            /** @description When it happened: RFC 3339, UTC, microseconds. */
            at: string;
            /** @description Whose chain it is in. */
            owner_id: string;
            /** @description The actor: an owner, or a part of the program. */
            actor: string;
            /** @description From which network address. */
            origin: string | null;
            /** @description The action, such as `email.sent`. */
            action: string;
            /**
             * Format: uuid
             * @description About which email.
             */
            email_id: string | null;
            /** @description Among the events of this email, from 1. */
            sequence: number | null;
            /** @description Facts of this action. */
            detail: {
                [key: string]: unknown;
            };
            /** @description SHA-256 over the entry before it and this one, in hex. */
            hash: string;
        };
        Batch: {
            /** @description 1 to 500 emails, each with the fields of `POST /api/v1/schedule-mail`. */
            emails: components["schemas"]["Email"][];
            /** @description `strict` (default): all or nothing. `permissive`: what is fit. */
            mode?: ("strict" | "permissive") | null;
        };
        BatchEntry: {
            /** @description Place in the request, from 0. */
            index: number;
            /**
             * Format: uuid
             * @description Id of the new email.
             */
            id: string;
        } | {
            /** @description Place in the request, from 0. */
            index: number;
            /** @description Why it was not accepted; only with `mode: permissive`. */
            error: {
                /** @description As in a problem. */
                code: string;
                /** @description The fault, in words for people. */
                detail: string;
                /** @description Every faulty place. */
                errors: {
                    /** @description JSON pointer. */
                    pointer: string;
                    /** @description The fault of this field. */
                    detail: string;
                }[];
            };
        };
        BulkCancel: {
            /** @description Emails that carry this tag. */
            tag?: string;
            /** @description Emails whose metadata hold all of these values, compared as text. */
            metadata?: {
                [key: string]: unknown;
            };
            /**
             * Format: date-time
             * @description Emails due at this time or later.
             */
            scheduled_after?: string;
            /**
             * Format: date-time
             * @description Emails due before this time.
             */
            scheduled_before?: string;
            /** @description `true`: count them, change nothing. */
            dry_run?: boolean;
        };
        BulkDismiss: {
            /** @description Which dead letters. At least one field, or `all: true`. */
            filter?: components["schemas"]["DeadLetterFilter"];
            /** @description Why, 1 to 500 characters on one line; it stands in the journal. */
            reason?: string;
            /** @description `true`: count them, change nothing. */
            dry_run?: boolean;
        };
        BulkHold: {
            /** @description Emails that carry this tag. */
            tag?: string;
            /** @description Emails whose metadata hold all of these values, compared as text. */
            metadata?: {
                [key: string]: unknown;
            };
            /**
             * Format: date-time
             * @description Emails due at this time or later.
             */
            scheduled_after?: string;
            /**
             * Format: date-time
             * @description Emails due before this time.
             */
            scheduled_before?: string;
            /** @description `true`: count them, change nothing. */
            dry_run?: boolean;
        };
        BulkRelease: {
            /** @description Emails that carry this tag. */
            tag?: string;
            /** @description Emails whose metadata hold all of these values, compared as text. */
            metadata?: {
                [key: string]: unknown;
            };
            /**
             * Format: date-time
             * @description Emails due at this time or later.
             */
            scheduled_after?: string;
            /**
             * Format: date-time
             * @description Emails due before this time.
             */
            scheduled_before?: string;
            /** @description `true`: count them, change nothing. */
            dry_run?: boolean;
        };
        BulkReplay: {
            /** @description Which dead letters. At least one field, or `all: true`. */
            filter?: components["schemas"]["DeadLetterFilter"];
            /** @description How many of them are due in a minute. Default: all at once. */
            rate_per_minute?: number;
            /**
             * Format: date-time
             * @description When the first of them is due. Default: now.
             */
            scheduled_at?: string;
            /** @description `true`: count them, change nothing. */
            dry_run?: boolean;
        };
        BulkReschedule: {
            /** @description Emails that carry this tag. */
            tag?: string;
            /** @description Emails whose metadata hold all of these values, compared as text. */
            metadata?: {
                [key: string]: unknown;
            };
            /**
             * Format: date-time
             * @description Emails due at this time or later.
             */
            scheduled_after?: string;
            /**
             * Format: date-time
             * @description Emails due before this time.
             */
            scheduled_before?: string;
            /**
             * Format: date-time
             * @description When all of them are due. Either this or `shift_seconds`.
             */
            scheduled_at?: string;
            /** @description How many seconds later each is due than it was; less than 0: earlier. */
            shift_seconds?: number;
            /** @description `true`: count them, change nothing. */
            dry_run?: boolean;
        };
        Check: {
            /** @description The part that was checked. */
            check: string;
            /**
             * @description How it is.
             * @enum {string}
             */
            status: "ok" | "warning" | "failed";
            /** @description The observation, in one sentence. */
            saw: string;
            /** @description What to do; null: nothing. */
            advice: string | null;
        };
        Checkpoint: {
            /**
             * @description What this is.
             * @constant
             */
            type: "taskforce-mailer/checkpoint/v1";
            /** @description As of when: RFC 3339, UTC, microseconds. */
            at: string;
            /** @description Whose chain; null: everybody's. */
            owner_id: string | null;
            /** @description Of the newest entry; 0: there is none. */
            position: number;
            /** @description How many owners have entries. */
            chains: number;
            /** @description SHA-256 over the heads of all chains, in hex. */
            root: string;
            /** @description Public Ed25519 key, base64. */
            key: string;
            /** @description Ed25519 signature, base64. */
            signature: string;
        };
        DeadLetterFilter: {
            /** @description Emails that carry this tag. */
            tag?: string;
            /** @description Emails whose metadata hold all of these values, compared as text. */
            metadata?: {
                [key: string]: unknown;
            };
            /**
             * Format: date-time
             * @description Emails due at this time or later.
             */
            scheduled_after?: string;
            /**
             * Format: date-time
             * @description Emails due before this time.
             */
            scheduled_before?: string;
            /**
             * @description Of this status. Uncertain ones may have been sent: they are meant only by this, or by `ids`.
             * @enum {string}
             */
            status?: "failed" | "uncertain" | "held" | "partially_sent";
            /** @description Of this group, as `GET /api/v1/dead-letters/groups` names it. */
            group?: string;
            /** @description Whose last reply had this code. */
            smtp_code?: number;
            /** @description That concern recipients at this domain. */
            domain?: string;
            /** @description Of these ids, 1 to 1,000. */
            ids?: string[];
            /** @description `true`: every dead letter. Needed when nothing else narrows the filter. */
            all?: boolean;
        };
        DeadLetterGroup: {
            /** @description Its name, for `group` of the list and of a replay. */
            group: string;
            /** @description Emails in it. */
            count: number;
            /** @description How many of them are failed, uncertain, held, partially sent. */
            by_status: {
                [key: string]: number;
            };
            /** @description Of the last reply. */
            smtp_code: number | null;
            /** @description Of the last reply (RFC 3463). */
            enhanced_code: string | null;
            /** @description The reply of one email of the group, as the server sent it. */
            reply: string | null;
            /** @description The reply without what varies. */
            reply_pattern: string | null;
            /** @description Of the recipients that it concerns. */
            domain: string | null;
            /**
             * Format: date-time
             * @description Of the first of them.
             */
            first_at: string;
            /**
             * Format: date-time
             * @description Of the last of them.
             */
            last_at: string;
            /**
             * Format: uuid
             * @description Id of one of them.
             */
            sample_email_id: string;
        };
        Dismiss: {
            /** @description Why, 1 to 500 characters on one line; it stands in the journal. */
            reason?: string;
        };
        DryRun: {
            /** @description The message as it would go out, but for Message-ID, boundaries and Date. */
            message: string;
            /** @description Of the message. */
            size_bytes: number;
            /**
             * Format: date-time
             * @description When it would be due.
             */
            scheduled_at: string;
            /** @description As it was asked for; only when it was, and still holds. */
            local_time?: string;
            /** @description Of `local_time`. */
            timezone?: string;
            /** @description Of the zone at that instant, such as `+01:00`. */
            utc_offset?: string;
            /**
             * @description Whether clocks skip `local_time` (gap) or show it twice (overlap).
             * @enum {string}
             */
            resolution?: "exact" | "gap" | "overlap";
            /** @description Warnings about values that are allowed and may not be meant, one sentence each. */
            warnings: string[];
        };
        Email: {
            /** @description The To line: addresses as `a@b`, `Name <a@b>` or `{ address, name }`. Everybody sees it; 1 to 50 addresses with `cc` and `bcc` together. */
            recipients?: components["schemas"]["Address"][] | null;
            /** @description The Cc line: addresses as `a@b`, `Name <a@b>` or `{ address, name }`. */
            cc?: components["schemas"]["Address"][] | null;
            /** @description Recipients whom nobody sees: addresses as `a@b`, `Name <a@b>` or `{ address, name }`. */
            bcc?: components["schemas"]["Address"][] | null;
            /** @description The From line: `a@b`, `Name <a@b>` or `{ address, name }`. Default: `SMTP_FROM` of the server; it must be one that `SMTP_FROM_ALLOWED` permits. */
            from?: components["schemas"]["Address"] | null;
            /** @description Where answers go: `a@b`, `Name <a@b>` or `{ address, name }`, or a list of up to 50 of them. */
            reply_to?: components["schemas"]["Address"] | (components["schemas"]["Address"][] | null);
            /** @description 1 to 998 characters on one line. */
            subject: string;
            /** @description The text part. */
            body?: string | null;
            /** @description The HTML part. With `body` too, mail programs choose. */
            html_body?: string | null;
            /**
             * @description `"auto"`: a text part is made of `html_body`, which then has at most 262,144 characters. Not together with `body`.
             * @constant
             */
            text?: "auto";
            /**
             * Format: date-time
             * @description When to send: RFC 3339 with an offset or Z. Left out: as soon as possible. A time more than 60 s past, one without an offset, and null are refused.
             */
            scheduled_at?: string;
            /** @description Instead of `scheduled_at`: what a clock in `timezone` shows then, such as `2027-03-28T02:30`. */
            local_time?: string;
            /** @description Of `local_time`: a name of the IANA time zone database, such as `Europe/Berlin`. */
            timezone?: string;
            /** @description What a `local_time` means that clocks skip (`gap`: `later`, the default, `earlier`, `reject`) or show twice (`overlap`: `first`, the default, `second`, `reject`). */
            dst?: {
                /**
                 * @description What a time means that clocks skip. Default: `later`.
                 * @enum {string}
                 */
                gap?: "later" | "earlier" | "reject";
                /**
                 * @description What a time means that clocks show twice. Default: `first`.
                 * @enum {string}
                 */
                overlap?: "first" | "second" | "reject";
            };
            /**
             * Format: date-time
             * @description After this time it is too late; see `on_late`. Not together with `max_lateness`.
             */
            expires_at?: string | null;
            /** @description How many seconds after `scheduled_at` it is too late; see `on_late`. */
            max_lateness?: number | null;
            /** @description How often it is tried again after a temporary failure, 0 to 20. Default 3; the waits are 1, 2, 4 … minutes. */
            max_retries?: number | null;
            /** @description Seconds after `scheduled_at` at which it is given up. Default: 4 days. */
            max_age?: number | null;
            /** @description What happens when it is too late: `send` it all the same, `drop` it (default when there is an end), or `hold` it for a person. */
            on_late?: ("send" | "drop" | "hold") | null;
            /** @description What happens when the connection is lost before the server's reply: `retry` (default; the mail may come twice), or `hold` it for a person. */
            on_uncertain?: ("retry" | "hold") | null;
            /** @description At most 20 files, 25 MB together when decoded: `filename`, `content` in base64, `contentType`, and `content_id` for pictures that the HTML shows by `cid:`. */
            attachments?: components["schemas"]["Attachment"][] | null;
            /** @description Headers of your own: `X-*`, `List-*`, `References`, `In-Reply-To`, `Auto-Submitted`, `Precedence`, `Importance`. */
            headers?: {
                [key: string]: string;
            } | null;
            /** @description At most 10 words of 1 to 64 ASCII characters, to find and cancel emails by. Stored in clear. */
            tags?: string[] | null;
            /** @description An object of at most 16 KiB, to find emails by. Stored in clear, answered as given. */
            metadata?: {
                [key: string]: unknown;
            } | null;
            /** @description The region that sends it. Default: the one that accepts it. */
            region?: string | null;
            /** @description `true`: one email to each of `recipients`, who do not see each other; answered as a batch is. Not together with `cc` and `bcc`, and not within a batch. */
            individual?: boolean;
            /** @description A finished message in base64, instead of `subject`, `body` and `html_body`: sent byte for byte, for signed and encrypted mail. A Date is added when it has none, a Bcc removed; what SMTP forbids is refused. The envelope is of the other fields; its From must be permitted, too. */
            raw?: string | null;
            /** @description Unsubscribe headers: not supported yet. */
            list_unsubscribe?: unknown;
        };
        EmailEdit: {
            /** @description The To line: addresses as `a@b`, `Name <a@b>` or `{ address, name }`. Everybody sees it; 1 to 50 addresses with `cc` and `bcc` together. */
            recipients?: components["schemas"]["Address"][] | null;
            /** @description The Cc line: addresses as `a@b`, `Name <a@b>` or `{ address, name }`. */
            cc?: components["schemas"]["Address"][] | null;
            /** @description Recipients whom nobody sees: addresses as `a@b`, `Name <a@b>` or `{ address, name }`. */
            bcc?: components["schemas"]["Address"][] | null;
            /** @description The From line: `a@b`, `Name <a@b>` or `{ address, name }`. Default: `SMTP_FROM` of the server; it must be one that `SMTP_FROM_ALLOWED` permits. */
            from?: components["schemas"]["Address"] | null;
            /** @description Where answers go: `a@b`, `Name <a@b>` or `{ address, name }`, or a list of up to 50 of them. */
            reply_to?: components["schemas"]["Address"] | (components["schemas"]["Address"][] | null);
            /** @description 1 to 998 characters on one line. */
            subject?: string;
            /** @description The text part. */
            body?: string | null;
            /** @description The HTML part. With `body` too, mail programs choose. */
            html_body?: string | null;
            /**
             * @description `"auto"`: a text part is made of `html_body`, which then has at most 262,144 characters. Not together with `body`.
             * @constant
             */
            text?: "auto";
            /**
             * Format: date-time
             * @description When to send: RFC 3339 with an offset or Z. Left out: as soon as possible. A time more than 60 s past, one without an offset, and null are refused.
             */
            scheduled_at?: string;
            /** @description Instead of `scheduled_at`: what a clock in `timezone` shows then, such as `2027-03-28T02:30`. */
            local_time?: string;
            /** @description Of `local_time`: a name of the IANA time zone database, such as `Europe/Berlin`. */
            timezone?: string;
            /** @description What a `local_time` means that clocks skip (`gap`: `later`, the default, `earlier`, `reject`) or show twice (`overlap`: `first`, the default, `second`, `reject`). */
            dst?: {
                /**
                 * @description What a time means that clocks skip. Default: `later`.
                 * @enum {string}
                 */
                gap?: "later" | "earlier" | "reject";
                /**
                 * @description What a time means that clocks show twice. Default: `first`.
                 * @enum {string}
                 */
                overlap?: "first" | "second" | "reject";
            };
            /**
             * Format: date-time
             * @description After this time it is too late; see `on_late`. Not together with `max_lateness`.
             */
            expires_at?: string | null;
            /** @description How many seconds after `scheduled_at` it is too late; see `on_late`. */
            max_lateness?: number | null;
            /** @description How often it is tried again after a temporary failure, 0 to 20. Default 3; the waits are 1, 2, 4 … minutes. */
            max_retries?: number | null;
            /** @description Seconds after `scheduled_at` at which it is given up. Default: 4 days. */
            max_age?: number | null;
            /** @description What happens when it is too late: `send` it all the same, `drop` it (default when there is an end), or `hold` it for a person. */
            on_late?: ("send" | "drop" | "hold") | null;
            /** @description What happens when the connection is lost before the server's reply: `retry` (default; the mail may come twice), or `hold` it for a person. */
            on_uncertain?: ("retry" | "hold") | null;
            /** @description At most 20 files, 25 MB together when decoded: `filename`, `content` in base64, `contentType`, and `content_id` for pictures that the HTML shows by `cid:`. */
            attachments?: components["schemas"]["Attachment"][] | null;
            /** @description Headers of your own: `X-*`, `List-*`, `References`, `In-Reply-To`, `Auto-Submitted`, `Precedence`, `Importance`. */
            headers?: {
                [key: string]: string;
            } | null;
            /** @description At most 10 words of 1 to 64 ASCII characters, to find and cancel emails by. Stored in clear. */
            tags?: string[] | null;
            /** @description An object of at most 16 KiB, to find emails by. Stored in clear, answered as given. */
            metadata?: {
                [key: string]: unknown;
            } | null;
            /** @description The region that sends it. Default: the one that accepts it. */
            region?: string | null;
            /** @description `true`: one email to each of `recipients`, who do not see each other; answered as a batch is. Not together with `cc` and `bcc`, and not within a batch. */
            individual?: boolean;
            /** @description A finished message in base64, instead of `subject`, `body` and `html_body`: sent byte for byte, for signed and encrypted mail. A Date is added when it has none, a Bcc removed; what SMTP forbids is refused. The envelope is of the other fields; its From must be permitted, too. */
            raw?: string | null;
            /** @description Unsubscribe headers: not supported yet. */
            list_unsubscribe?: unknown;
        };
        EmailStatus: {
            /** @description As it was asked for; only when it was, and still holds. */
            local_time?: string;
            /** @description Of `local_time`. */
            timezone?: string;
            /** @description Of the zone at that instant, such as `+01:00`. */
            utc_offset?: string;
            /**
             * @description Whether clocks skip `local_time` (gap) or show it twice (overlap).
             * @enum {string}
             */
            resolution?: "exact" | "gap" | "overlap";
            /**
             * Format: uuid
             * @description Id of the email.
             */
            id: string;
            /**
             * @description `pending`: waits for its time or its next attempt. `sending`: its message is on the way. `sent`: the next hop took it. `partially_sent`: it took it for some recipients. `failed`: it will not be tried again by itself. `uncertain`: the connection was lost before the reply came. `held`: a person has to release it. `cancelled`, `expired`, `suppressed`: never sent.
             * @enum {string}
             */
            status: "pending" | "sending" | "sent" | "partially_sent" | "failed" | "uncertain" | "held" | "cancelled" | "expired" | "suppressed";
            /**
             * Format: date-time
             * @description When it is, or was, due.
             */
            scheduled_at: string;
            /** @description When it will be tried next; null: it will not be. */
            next_attempt_at: string | null;
            /** @description When the next hop took it; null: it has not. */
            sent_at: string | null;
            /**
             * Format: date-time
             * @description When it was accepted.
             */
            created_at: string;
            /** @description Null once the content is destroyed. */
            subject: string | null;
            /** @description As given. */
            tags: string[];
            /** @description As given. */
            metadata: {
                [key: string]: unknown;
            };
            /** @description The region that sends it. */
            region: string;
            /** @description Grows with every change; for `If-Match`. */
            version: number;
            /** @description How often it is tried again at most. */
            max_retries: number;
            /**
             * Format: date-time
             * @description When a person dismissed this dead letter; absent: nobody did.
             */
            dismissed_at?: string;
            /** @description Every recipient, Bcc too. */
            recipients: components["schemas"]["Recipient"][];
            /**
             * @description The content is there but no key of the server opens it: what is null is not known.
             * @constant
             */
            unreadable?: true;
            /** @description Every attempt so far, oldest first. */
            attempts: components["schemas"]["Attempt"][];
            /**
             * @description For a pending email past its time, in `GET /api/v1/status/{id}`: nothing gets out of the processes that send; `/health` says why. It goes out once the SMTP server is back.
             * @constant
             */
            waiting_for?: "transport";
        };
        EmailWithContent: {
            /** @description As it was asked for; only when it was, and still holds. */
            local_time?: string;
            /** @description Of `local_time`. */
            timezone?: string;
            /** @description Of the zone at that instant, such as `+01:00`. */
            utc_offset?: string;
            /**
             * @description Whether clocks skip `local_time` (gap) or show it twice (overlap).
             * @enum {string}
             */
            resolution?: "exact" | "gap" | "overlap";
            /**
             * Format: uuid
             * @description Id of the email.
             */
            id: string;
            /**
             * @description `pending`: waits for its time or its next attempt. `sending`: its message is on the way. `sent`: the next hop took it. `partially_sent`: it took it for some recipients. `failed`: it will not be tried again by itself. `uncertain`: the connection was lost before the reply came. `held`: a person has to release it. `cancelled`, `expired`, `suppressed`: never sent.
             * @enum {string}
             */
            status: "pending" | "sending" | "sent" | "partially_sent" | "failed" | "uncertain" | "held" | "cancelled" | "expired" | "suppressed";
            /**
             * Format: date-time
             * @description When it is, or was, due.
             */
            scheduled_at: string;
            /** @description When it will be tried next; null: it will not be. */
            next_attempt_at: string | null;
            /** @description When the next hop took it; null: it has not. */
            sent_at: string | null;
            /**
             * Format: date-time
             * @description When it was accepted.
             */
            created_at: string;
            /** @description Null once the content is destroyed. */
            subject: string | null;
            /** @description As given. */
            tags: string[];
            /** @description As given. */
            metadata: {
                [key: string]: unknown;
            };
            /** @description The region that sends it. */
            region: string;
            /** @description Grows with every change; for `If-Match`. */
            version: number;
            /** @description How often it is tried again at most. */
            max_retries: number;
            /**
             * Format: date-time
             * @description When a person dismissed this dead letter; absent: nobody did.
             */
            dismissed_at?: string;
            /** @description Every recipient, Bcc too. */
            recipients: components["schemas"]["Recipient"][];
            /**
             * @description The content is there but no key of the server opens it: what is null is not known.
             * @constant
             */
            unreadable?: true;
            /** @description Every attempt so far, oldest first. */
            attempts: components["schemas"]["Attempt"][];
            /** @description When it is too late to send it; null: never. */
            expires_at: string | null;
            /** @description Seconds it may be late; null: any. */
            max_lateness: number | null;
            /**
             * @description What happens to it when it is too late.
             * @enum {string}
             */
            on_late: "send" | "drop" | "hold";
            /** @description The From line. */
            from: string | null;
            /** @description Where answers go; a list when there are several addresses. */
            reply_to: (string | string[]) | null;
            /** @description The text part. */
            body: string | null;
            /** @description The HTML part. */
            html_body: string | null;
            /**
             * @description It is a finished message: `/raw` has all of it.
             * @constant
             */
            raw?: true;
            /** @description Headers of your own. */
            headers: {
                [key: string]: string;
            } | null;
            /** @description Names and sizes; `/attachments/{n}` has the bytes. */
            attachments: {
                /** @description As given. */
                filename: string;
                /** @description Media type. */
                content_type: string;
                /** @description For `cid:` links of the HTML. */
                content_id: string | null;
                /** @description Decoded. */
                size_bytes: number;
            }[] | null;
        };
        EndSessions: {
            /** @description Whose sessions; not together with `all`. */
            owner?: string;
            /**
             * @description `true`: everybody's, the caller's own included.
             * @constant
             */
            all?: true;
        };
        EndTokens: {
            /** @description The `sub` of the tokens. */
            sub: string;
        };
        Erase: {
            /** @description The person's address. */
            recipient: string;
            /** @description For admins: only this owner's emails. */
            owner?: string;
            /** @description `true`: count, destroy nothing. */
            dry_run?: boolean;
        };
        Health: {
            /**
             * @description `degraded`: it works, but somebody should look. `down`: it does not.
             * @enum {string}
             */
            status: "ok" | "degraded" | "down";
            /** @description By the part's name. */
            components: {
                [key: string]: {
                    /**
                     * @description `degraded`: it works, but somebody should look. `down`: it does not.
                     * @enum {string}
                     */
                    status: "ok" | "degraded" | "down";
                } & {
                    [key: string]: unknown;
                };
            };
        };
        Hold: Record<string, never>;
        ListedEmail: {
            /** @description As it was asked for; only when it was, and still holds. */
            local_time?: string;
            /** @description Of `local_time`. */
            timezone?: string;
            /** @description Of the zone at that instant, such as `+01:00`. */
            utc_offset?: string;
            /**
             * @description Whether clocks skip `local_time` (gap) or show it twice (overlap).
             * @enum {string}
             */
            resolution?: "exact" | "gap" | "overlap";
            /**
             * Format: uuid
             * @description Id of the email.
             */
            id: string;
            /**
             * @description `pending`: waits for its time or its next attempt. `sending`: its message is on the way. `sent`: the next hop took it. `partially_sent`: it took it for some recipients. `failed`: it will not be tried again by itself. `uncertain`: the connection was lost before the reply came. `held`: a person has to release it. `cancelled`, `expired`, `suppressed`: never sent.
             * @enum {string}
             */
            status: "pending" | "sending" | "sent" | "partially_sent" | "failed" | "uncertain" | "held" | "cancelled" | "expired" | "suppressed";
            /**
             * Format: date-time
             * @description When it is, or was, due.
             */
            scheduled_at: string;
            /** @description When it will be tried next; null: it will not be. */
            next_attempt_at: string | null;
            /** @description When the next hop took it; null: it has not. */
            sent_at: string | null;
            /**
             * Format: date-time
             * @description When it was accepted.
             */
            created_at: string;
            /** @description Null once the content is destroyed. */
            subject: string | null;
            /** @description As given. */
            tags: string[];
            /** @description As given. */
            metadata: {
                [key: string]: unknown;
            };
            /** @description The region that sends it. */
            region: string;
            /** @description Grows with every change; for `If-Match`. */
            version: number;
            /** @description How often it is tried again at most. */
            max_retries: number;
            /**
             * Format: date-time
             * @description When a person dismissed this dead letter; absent: nobody did.
             */
            dismissed_at?: string;
            /** @description Every recipient, Bcc too. */
            recipients: components["schemas"]["Recipient"][];
            /**
             * @description The content is there but no key of the server opens it: what is null is not known.
             * @constant
             */
            unreadable?: true;
        };
        NewApiKey: {
            /** @description 1 to 100 characters on one line, for people. */
            name: string;
            /** @description What it may do: `send`, `read`, `admin`; at least one. */
            scopes: ("send" | "read" | "admin")[];
            /** @description From when it counts no more: a time, or `never`. Left out: in a year. */
            expires_at?: string;
        };
        NewApiKeyWithKey: {
            /**
             * Format: uuid
             * @description Id of the key.
             */
            id: string;
            /** @description For whom it acts. */
            owner: string;
            /** @description As given. */
            name: string;
            /** @description How the key begins, to tell it from others. */
            prefix: string;
            /** @description What it may do. */
            scopes: ("send" | "read" | "admin")[];
            /**
             * Format: date-time
             * @description When it was made.
             */
            created_at: string;
            /** @description From when it counts no more; null: never. */
            expires_at: string | null;
            /** @description When it was last used; null: never. */
            last_used_at: string | null;
            /** @description When it was revoked; null: it counts. */
            revoked_at: string | null;
            /** @description The API key that made it, with which it ends; null: a person did. */
            made_by: string | null;
            /** @description The key itself: shown this once, and kept nowhere. */
            key: string;
        };
        NewWebhook: {
            /** @description Where events are sent to: `https://`, unless WEBHOOK_ALLOW_PRIVATE is set. */
            url: string;
            /** @description Types of events; `email.*` stands for all of emails. Default: `email.*`. */
            events?: ("email.*" | "email.scheduled" | "email.rescheduled" | "email.updated" | "email.cancelled" | "email.sending" | "email.sent" | "email.deferred" | "email.bounced" | "email.failed" | "email.expired" | "email.held" | "email.released" | "email.uncertain" | "email.replayed" | "email.suppressed" | "system.*" | "system.email_held" | "system.paused" | "system.resumed" | "system.webhook_disabled" | "system.transport_down" | "system.transport_up" | "system.region_silent" | "system.region_back" | "system.sending_behind" | "system.sending_caught_up" | "system.journal_behind" | "system.journal_caught_up" | "system.journal_broken" | "system.journal_sound" | "system.webhooks_behind" | "system.webhooks_caught_up")[];
            /** @description Only events of emails that carry one of them. Default: of any. */
            tags?: string[];
            /** @description What it is for, in your words. */
            description?: string;
            /** @description False: nothing is sent until it is true. Default: true. */
            enabled?: boolean;
            /** @description True: everybody's events, and `system.*`. For admins. Default: false. */
            all_owners?: boolean;
            /** @description A secret of your own: `whsec_` and the base64 of 24 to 64 bytes. */
            secret?: string;
        };
        Page: {
            /** @description How many entries a page has. */
            limit: number;
            /** @description How many were skipped; absent when asked by cursor. */
            offset?: number;
            /** @description How many there are in all; absent above 5,000, and when asked by cursor. */
            total?: number;
            /** @description Give it as `cursor` for the next page; null: this was the last. */
            next_cursor: string | null;
        };
        Pause: {
            /** @description That region. Default: the one that is asked. */
            region?: string;
            /** @description That owner, in every region. Not together with `region`. */
            owner?: string;
            /** @description Why, 1 to 500 characters on one line; it stands in the journal. */
            reason: string;
        };
        PauseOfSending: {
            /**
             * @description The scope of the pause; `database`: all sending, since it was restored or copied.
             * @enum {string}
             */
            kind: "region" | "owner" | "database";
            /** @description Of the region, id of the owner, or `restored`. */
            name: string;
            /**
             * Format: date-time
             * @description Since when.
             */
            paused_at: string;
            /** @description The person or part that paused it. */
            paused_by: string;
            /** @description Why. */
            reason: string;
        };
        /** @description Why a request failed (RFC 9457). */
        Problem: {
            /**
             * @description Always false here.
             * @constant
             */
            success: false;
            /**
             * Format: uri-reference
             * @description Page about this code.
             */
            type: string;
            /** @description The code, for people. */
            title: string;
            /** @description The HTTP status. */
            status: number;
            /** @description The fault, in words for people. */
            detail: string;
            /** @description The path that was asked for. */
            instance: string;
            /**
             * @description For programs: it never changes.
             * @enum {string}
             */
            code: "malformed_request" | "malformed_json" | "unauthorized" | "forbidden" | "not_found" | "method_not_allowed" | "request_timeout" | "in_flight" | "already_sent" | "already_failed" | "already_expired" | "already_suppressed" | "outcome_uncertain" | "already_cancelled" | "not_finished" | "content_unreadable" | "not_a_dead_letter" | "not_held" | "changed_meanwhile" | "version_mismatch" | "too_many_keys" | "too_many_webhooks" | "payload_too_large" | "unsupported_media_type" | "invalid_content" | "invalid_query" | "not_supported_yet" | "idempotency_key_reused" | "idempotency_in_flight" | "rate_limited" | "quota_exceeded" | "database_unavailable" | "signing_keys_unavailable" | "overloaded" | "shutting_down" | "internal_error";
            /** @description Finds this request in the log. */
            request_id: string;
            /** @description Every faulty place of the request, the first hundred. */
            errors?: {
                /** @description JSON pointer of the faulty place. */
                pointer: string;
                /** @description The value expected there, and the value that came. */
                detail: string;
            }[];
        };
        QueueStats: {
            /** @description Pending emails that are due. */
            waiting: number;
            /** @description Emails being sent. */
            active: number;
            /** @description Pending emails that are due later. */
            delayed: number;
            /** @description Sent and partially sent emails. */
            completed: number;
            /** @description Failed and uncertain emails. */
            failed: number;
            /** @description Held emails. */
            paused: number;
            /** @description What keeps these emails from being sent. */
            sending_paused: components["schemas"]["PauseOfSending"][];
            /** @description Worker processes that are alive. */
            workers: number;
            /** @description For how long the oldest due email has been waiting; null: none is. */
            oldest_due_ms: number | null;
            /** @description Emails by their status. */
            by_status: {
                /** @description Emails pending. */
                pending: number;
                /** @description Emails sending. */
                sending: number;
                /** @description Emails sent. */
                sent: number;
                /** @description Emails partially_sent. */
                partially_sent: number;
                /** @description Emails failed. */
                failed: number;
                /** @description Emails uncertain. */
                uncertain: number;
                /** @description Emails held. */
                held: number;
                /** @description Emails cancelled. */
                cancelled: number;
                /** @description Emails expired. */
                expired: number;
                /** @description Emails suppressed. */
                suppressed: number;
            };
        };
        Recipient: {
            /** @description Null once the content is destroyed. */
            address: string | null;
            /**
             * @description The line it stands on.
             * @enum {string}
             */
            kind: "to" | "cc" | "bcc";
            /**
             * @description What became of this recipient so far.
             * @enum {string}
             */
            status: "pending" | "sent" | "deferred" | "bounced" | "suppressed";
            /** @description SMTP code of the last reply. */
            smtp_code: number | null;
            /** @description Enhanced status code of the reply (RFC 3463). */
            enhanced_code: string | null;
            /** @description What the server said; null when it said nothing, or the content was destroyed. */
            reply: string | null;
        };
        ReconcilerRound: {
            /** @description Processes found dead. */
            dead_workers: number;
            /** @description Emails of theirs that are pending again. */
            taken_over: number;
            /** @description Emails of theirs whose outcome is uncertain now. */
            orphans_settled: number;
            /** @description Emails held because every worker that tried them died. */
            poison_held: number;
        };
        Release: {
            /**
             * Format: date-time
             * @description A new time. Left out: when it was due, or now when that has passed.
             */
            scheduled_at?: string;
        };
        ResendBatch: components["schemas"]["ResendEmail"][];
        ResendEmail: {
            /** @description `a@b` or `Name <a@b>`, of a domain that `SMTP_FROM_ALLOWED` permits. */
            from: string;
            /** @description One address or a list; 1 to 50 with `cc` and `bcc` together. */
            to: string | string[];
            /** @description 1 to 998 characters on one line. */
            subject: string;
            /** @description The HTML part. Without `text` a text part is made of it. */
            html?: string | null;
            /** @description The text part. An empty one: none. */
            text?: string | null;
            /** @description One address or a list. */
            cc?: (string | string[]) | null;
            /** @description One address or a list. */
            bcc?: (string | string[]) | null;
            /** @description One address or a list. */
            reply_to?: (string | string[]) | null;
            /** @description Headers of your own, as of `POST /api/v1/schedule-mail`. */
            headers?: {
                [key: string]: string;
            };
            /** @description Stored as metadata: `{ name, value }` becomes `metadata.<name>`. */
            tags?: {
                /** @description Key of the metadata. */
                name: string;
                /** @description Its value. */
                value: string;
            }[] | null;
            /** @description `{ filename, content, content_type, content_id }`, `content` in base64. A `path` is refused. */
            attachments?: Record<string, never>[] | null;
            /** @description RFC 3339, or a phrase such as "in 1 min" or "tomorrow at 9am"; see the page on times. */
            scheduled_at?: string;
            /** @description Not supported. */
            template?: null;
            /** @description Not supported. */
            topic_id?: null;
        };
        ResendListedEmail: {
            /**
             * Format: uuid
             * @description Id of the email.
             */
            id: string;
            /** @description Its Message-ID. */
            message_id: string | null;
            /** @description The From line; empty once the content is destroyed. */
            from: string;
            /** @description The To line. */
            to: string[];
            /** @description The Cc line. */
            cc: string[];
            /** @description Recipients whom nobody sees. */
            bcc: string[];
            /** @description Where answers go. */
            reply_to: string[];
            /** @description Empty once the content is destroyed. */
            subject: string;
            /**
             * Format: date-time
             * @description When it was accepted.
             */
            created_at: string;
            /** @description When it is, or was, due; null: it was not scheduled. */
            scheduled_at: string | null;
            /**
             * @description Where it is, in the nearest of Resend's words.
             * @enum {string}
             */
            last_event: "queued" | "scheduled" | "sent" | "delivery_delayed" | "bounced" | "failed" | "canceled" | "suppressed";
        };
        ResendSentEmail: {
            /**
             * Format: uuid
             * @description Id of the email, here and in every other route.
             */
            id: string;
            /**
             * Format: date-time
             * @description When it is due, in UTC; absent: now.
             */
            scheduled_at?: string;
        };
        ResendUpdate: {
            /** @description RFC 3339, or a phrase such as "in 1 min" or "tomorrow at 9am"; see the page on times. */
            scheduled_at: string;
        };
        ResendWholeEmail: {
            /**
             * @description Always this.
             * @constant
             */
            object: "email";
            /**
             * Format: uuid
             * @description Id of the email.
             */
            id: string;
            /** @description Its Message-ID. */
            message_id: string | null;
            /** @description The From line; empty once the content is destroyed. */
            from: string;
            /** @description The To line. */
            to: string[];
            /** @description The Cc line. */
            cc: string[];
            /** @description Recipients whom nobody sees. */
            bcc: string[];
            /** @description Where answers go. */
            reply_to: string[];
            /** @description Empty once the content is destroyed. */
            subject: string;
            /**
             * Format: date-time
             * @description When it was accepted.
             */
            created_at: string;
            /** @description When it is, or was, due; null: it was not scheduled. */
            scheduled_at: string | null;
            /**
             * @description Where it is, in the nearest of Resend's words.
             * @enum {string}
             */
            last_event: "queued" | "scheduled" | "sent" | "delivery_delayed" | "bounced" | "failed" | "canceled" | "suppressed";
            /** @description The HTML part. */
            html: string | null;
            /** @description The text part. */
            text: string | null;
            /** @description Every text of the email's metadata. */
            tags: {
                /** @description Key of the metadata. */
                name: string;
                /** @description Its value. */
                value: string;
            }[];
        };
        Resume: {
            /** @description That region. Default: the one that is asked. */
            region?: string;
            /** @description That owner, in every region. Not together with `region`. */
            owner?: string;
            /**
             * @description Instead of a region or an owner: ends the pause of a database that was restored or copied. Emails that were due between the dump and now may have been sent already: `send` sends them, `hold` holds each of them for a decision.
             * @enum {string}
             */
            restored?: "send" | "hold";
            /** @description Why; it stands in the journal. */
            reason?: string;
        };
        SecretRotation: {
            /** @description A secret of your own; default: a new one is made. */
            secret?: string;
        };
        SendNow: Record<string, never>;
        TestEmail: {
            /** @description Where to: `a@b`, `Name <a@b>` or `{ address, name }`. */
            to: components["schemas"]["Address"];
        };
        TestResult: {
            /**
             * Format: uuid
             * @description Id of the email: it is one like all others.
             */
            id: string;
            /**
             * @description As it stood at the time of the answer.
             * @enum {string}
             */
            status: "pending" | "sending" | "sent" | "partially_sent" | "failed" | "uncertain" | "held" | "cancelled" | "expired" | "suppressed";
            /** @description Of the server's reply. */
            smtp_code: number | null;
            /** @description What the server said. */
            reply: string | null;
            /** @description The next hop, as `host:port`. */
            transport: string | null;
            /** @description From the request to the answer. */
            duration_ms: number;
            /** @description What it means and what to do, in words. */
            advice: string;
        };
        TimelineEvent: {
            /** @description Its place in the journal; null for the moment before it has one. */
            id: string | null;
            /** @description What happened: `email.scheduled`, `email.rescheduled`, `email.updated`, `email.cancelled`, `email.sending`, `email.sent`, `email.deferred`, `email.bounced`, `email.failed`, `email.expired`, `email.held`, `email.released`, `email.uncertain`, `email.replayed`, `email.suppressed`; in a timeline also `email.shredded` and `claim.returned`. */
            type: string;
            /**
             * Format: date-time
             * @description When it happened.
             */
            timestamp: string;
            /** @description Never content. */
            data: {
                /**
                 * Format: uuid
                 * @description Which email.
                 */
                email_id: string;
                /** @description Orders the events of one email, from 1. */
                sequence: number;
                /** @description The email's status after it. */
                status: string;
                /** @description Number of the attempt it belongs to. */
                attempt?: number;
                /** @description The address it is about, when it is about one alone. */
                recipient?: string;
                /** @description Of the next hop's reply. */
                smtp_code?: number;
                /** @description What the next hop said. */
                reply?: string;
                /** @description The email's tags, as they are now. */
                tags: string[];
                /** @description The email's metadata, as they are now. */
                metadata: {
                    [key: string]: unknown;
                };
            };
            /** @description Counts the email's events from 1. */
            sequence: number;
            /**
             * Format: date-time
             * @description When it happened.
             */
            at: string;
            /** @description The actor: an owner, a key, or a worker. */
            actor: string;
            /** @description What happened, such as `email.sent`. */
            action: string;
            /** @description Facts of this action. */
            detail: {
                [key: string]: unknown;
            };
        };
        Verdict: {
            /** @description Whether no entry was changed, removed or added. */
            ok: boolean;
            /** @description Entries that were recomputed. */
            checked: number;
            /** @description Number of the first broken entry. */
            first_broken: number | null;
            /** @description Whose entry is broken. */
            owner_id?: string | null;
            /** @description Of the broken entry. */
            position?: number | null;
            /** @description How it is broken, in one word. */
            reason?: string;
            /** @description Position of the oldest entry that is kept; absent: the first. */
            verified_from?: number;
            /** @description When what was before was dropped; null: of one owner's chain. */
            dropped_at?: string | null;
            /** @description Position of the checkpoint that vouches for it; null: as above. */
            dropped_checkpoint?: number | null;
            /** @description Of everybody's chains: stored checkpoints that agree. */
            checkpoints?: number;
        };
        WebhookChange: {
            /** @description Where events are sent to: `https://`, unless WEBHOOK_ALLOW_PRIVATE is set. */
            url?: string;
            /** @description Types of events; `email.*` stands for all of emails. Default: `email.*`. */
            events?: ("email.*" | "email.scheduled" | "email.rescheduled" | "email.updated" | "email.cancelled" | "email.sending" | "email.sent" | "email.deferred" | "email.bounced" | "email.failed" | "email.expired" | "email.held" | "email.released" | "email.uncertain" | "email.replayed" | "email.suppressed" | "system.*" | "system.email_held" | "system.paused" | "system.resumed" | "system.webhook_disabled" | "system.transport_down" | "system.transport_up" | "system.region_silent" | "system.region_back" | "system.sending_behind" | "system.sending_caught_up" | "system.journal_behind" | "system.journal_caught_up" | "system.journal_broken" | "system.journal_sound" | "system.webhooks_behind" | "system.webhooks_caught_up")[];
            /** @description Only events of emails that carry one of them. Default: of any. */
            tags?: string[];
            /** @description What it is for, in your words. */
            description?: string | null;
            /** @description False: nothing is sent until it is true. Default: true. */
            enabled?: boolean;
        };
        WebhookReplay: {
            /**
             * Format: date-time
             * @description What happened at this time or later.
             */
            from?: string;
            /**
             * Format: date-time
             * @description What happened before it; default: now.
             */
            to?: string;
            /** @description At most so many in a minute; default: as fast as they are taken. */
            rate_per_minute?: number;
            /** @description True: count, send nothing. */
            dry_run?: boolean;
        };
        WebhookTest: {
            /**
             * @description Type of the event; default `webhook.test`. Its email never was: tags are `webhook-test`. `system.*` types for webhooks with `all_owners`.
             * @enum {string}
             */
            type?: "webhook.test" | "email.scheduled" | "email.rescheduled" | "email.updated" | "email.cancelled" | "email.sending" | "email.sent" | "email.deferred" | "email.bounced" | "email.failed" | "email.expired" | "email.held" | "email.released" | "email.uncertain" | "email.replayed" | "email.suppressed" | "system.email_held" | "system.paused" | "system.resumed" | "system.webhook_disabled" | "system.transport_down" | "system.transport_up" | "system.region_silent" | "system.region_back" | "system.sending_behind" | "system.sending_caught_up" | "system.journal_behind" | "system.journal_caught_up" | "system.journal_broken" | "system.journal_sound" | "system.webhooks_behind" | "system.webhooks_caught_up";
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    scheduleMail: {
        parameters: {
            query?: {
                /**
                 * @description `true`: check and compose the email, answer with the message, store nothing.
                 * @example false
                 */
                dry_run?: "true" | "false";
            };
            header?: {
                /**
                 * @description A value of your own choosing, a new one for each thing you mean to happen once. The same key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with another body it is refused. Kept until a day after the last email it made has ended.
                 * @example order-8713-confirmation
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Email"];
            };
        };
        responses: {
            /** @description With `dry_run=true`: what it would be; nothing is stored. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["DryRun"];
                    };
                };
            };
            /** @description The email is stored and will be sent; with `individual: true` one entry for each email. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["AcceptedEmail"];
                    } | {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["BatchEntry"][];
                    };
                };
            };
        };
    };
    scheduleBatch: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description A value of your own choosing, a new one for each thing you mean to happen once. The same key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with another body it is refused. Kept until a day after the last email it made has ended.
                 * @example order-8713-confirmation
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Batch"];
            };
        };
        responses: {
            /** @description One entry for each email of the request, in its order. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["BatchEntry"][];
                    };
                };
            };
        };
    };
    getStatus: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The email and its attempts. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["EmailStatus"];
                    };
                };
            };
        };
    };
    getEmail: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The email with its content. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["EmailWithContent"];
                    };
                };
            };
        };
    };
    deleteEmail: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is cancelled. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /**
                             * Format: uuid
                             * @description Id of the email.
                             */
                            id: string;
                            /**
                             * @description It will never be sent.
                             * @constant
                             */
                            status: "cancelled";
                        };
                    };
                };
            };
        };
    };
    updateEmail: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description The version you have read, in double quotes. When the email has another one by now, nothing is changed and the answer is 412.
                 * @example "1"
                 */
                "If-Match"?: string;
            };
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["EmailEdit"];
            };
        };
        responses: {
            /** @description The email as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["EmailStatus"];
                    };
                };
            };
        };
    };
    holdEmail: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["Hold"];
            };
        };
        responses: {
            /** @description The email, held. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["EmailStatus"];
                    };
                };
            };
        };
    };
    releaseEmail: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["Release"];
            };
        };
        responses: {
            /** @description The email, pending. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["EmailStatus"];
                    };
                };
            };
        };
    };
    sendNow: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description The version you have read, in double quotes. When the email has another one by now, nothing is changed and the answer is 412.
                 * @example "1"
                 */
                "If-Match"?: string;
            };
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["SendNow"];
            };
        };
        responses: {
            /** @description The email, due now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["EmailStatus"];
                    };
                };
            };
        };
    };
    getRawMessage: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The message (RFC 5322). */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "message/rfc822": string;
                };
            };
        };
    };
    getAttachment: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
                /**
                 * @description Number of the attachment, from 0, in the order of the request.
                 * @example 0
                 */
                n: number;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
        };
    };
    destroyContent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is destroyed, or already was. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /**
                             * Format: uuid
                             * @description Id of the email.
                             */
                            id: string;
                            /**
                             * @description As before: the status stays.
                             * @enum {string}
                             */
                            status: "pending" | "sending" | "sent" | "partially_sent" | "failed" | "uncertain" | "held" | "cancelled" | "expired" | "suppressed";
                            /**
                             * @description Nobody can read it any more.
                             * @constant
                             */
                            content: "destroyed";
                        };
                    };
                };
            };
        };
    };
    cancelEmail: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is cancelled. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /**
                             * Format: uuid
                             * @description Id of the email.
                             */
                            id: string;
                            /**
                             * @description It will never be sent.
                             * @constant
                             */
                            status: "cancelled";
                        };
                    };
                };
            };
        };
    };
    cancelEmails: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description A value of your own choosing, a new one for each thing you mean to happen once. The same key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with another body it is refused. Kept until a day after the last email it made has ended.
                 * @example order-8713-confirmation
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BulkCancel"];
            };
        };
        responses: {
            /** @description How many were found and cancelled. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Emails that the filter found. */
                            matched: number;
                            /** @description Of them cancelled: nothing of these will ever be sent. */
                            cancelled: number;
                            /** @description Id of this request in the journal; null: nothing was changed. */
                            bulk_id: string | null;
                            /** @description What the caller should know, in words. */
                            warnings: string[];
                        };
                    };
                };
            };
        };
    };
    holdEmails: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description A value of your own choosing, a new one for each thing you mean to happen once. The same key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with another body it is refused. Kept until a day after the last email it made has ended.
                 * @example order-8713-confirmation
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BulkHold"];
            };
        };
        responses: {
            /** @description How many were found and held. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Emails that the filter found. */
                            matched: number;
                            /** @description Of them held: they wait for a release. */
                            held: number;
                            /** @description Id of this request in the journal; null: nothing was changed. */
                            bulk_id: string | null;
                            /** @description What the caller should know, in words. */
                            warnings: string[];
                        };
                    };
                };
            };
        };
    };
    eraseRecipient: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Erase"];
            };
        };
        responses: {
            /** @description How many. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Emails whose content was destroyed now, or would be. */
                            erased: number;
                            /** @description Emails to this person that may still be sent, and were left alone. */
                            not_finished: number;
                            /** @description Whether nothing was destroyed. */
                            dry_run: boolean;
                        };
                    };
                };
            };
        };
    };
    releaseEmails: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description A value of your own choosing, a new one for each thing you mean to happen once. The same key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with another body it is refused. Kept until a day after the last email it made has ended.
                 * @example order-8713-confirmation
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BulkRelease"];
            };
        };
        responses: {
            /** @description How many were found and released. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Emails that the filter found. */
                            matched: number;
                            /** @description Of them pending again. */
                            released: number;
                            /** @description Id of this request in the journal; null: nothing was changed. */
                            bulk_id: string | null;
                            /** @description What the caller should know, in words. */
                            warnings: string[];
                        };
                    };
                };
            };
        };
    };
    rescheduleEmails: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description A value of your own choosing, a new one for each thing you mean to happen once. The same key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with another body it is refused. Kept until a day after the last email it made has ended.
                 * @example order-8713-confirmation
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BulkReschedule"];
            };
        };
        responses: {
            /** @description How many were found and moved. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Emails that the filter found. */
                            matched: number;
                            /** @description Of them due at another time by now. */
                            rescheduled: number;
                            /** @description Id of this request in the journal; null: nothing was changed. */
                            bulk_id: string | null;
                            /** @description What the caller should know, in words. */
                            warnings: string[];
                        };
                    };
                };
            };
        };
    };
    listEmails: {
        parameters: {
            query?: {
                /**
                 * @description Emails in this state only, or in one of several, separated by commas. `deferred` is no state: it finds pending emails that have been tried before.
                 * @example pending,failed
                 */
                status?: string;
                /**
                 * @description Emails that carry this tag.
                 * @example newsletter
                 */
                tag?: string;
                /**
                 * @description `metadata.<key>=<value>`: emails whose metadata hold this value at this key, compared as text. May be given for several keys; all of them must hold.
                 * @example {
                 *       "metadata.order": "8713"
                 *     }
                 */
                metadata?: {
                    [key: string]: string;
                };
                /**
                 * @description Emails to this address: in To, Cc or Bcc.
                 * @example ada@example.com
                 */
                recipient?: string;
                /**
                 * @description Emails due at this time or later (RFC 3339 with offset or Z).
                 * @example 2030-01-01T00:00:00Z
                 */
                scheduled_after?: string;
                /**
                 * @description Emails due before this time.
                 * @example 2030-02-01T00:00:00Z
                 */
                scheduled_before?: string;
                /**
                 * @description Emails that something happened to at this time or later: accepted, changed, tried, ended. Ask again from a few seconds before your last request, so that nothing is missed.
                 * @example 2030-01-01T00:00:00Z
                 */
                updated_after?: string;
                /**
                 * @description The owner to list. Only an admin may ask for another owner's.
                 * @example ada
                 */
                owner?: string;
                /**
                 * @description How many entries a page has.
                 * @example 20
                 */
                limit?: number;
                /**
                 * @description How many entries to skip, newest first. Not together with `cursor`, which stays exact while entries are added.
                 * @example 0
                 */
                offset?: number;
                /**
                 * @description `page.next_cursor` of the answer before: the next page.
                 * @example WyIyMDMwLTAxLTAyIDAzOjA0OjA1LjY3ODkwMSswMCIsIjAxOTc3YzNlLTViMWUtN2NjMC05ZDVmLTNmMWMyYjdhOGUxMCJd
                 */
                cursor?: string;
                /**
                 * @description `-created_at`: newest first. `scheduled_at`: the earliest due first; a `cursor` of one order is none in the other.
                 * @example -created_at
                 */
                sort?: "-created_at" | "scheduled_at";
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page, without attempts. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["ListedEmail"][];
                        page: components["schemas"]["Page"];
                    };
                };
            };
        };
    };
    listDeadLetters: {
        parameters: {
            query?: {
                /**
                 * @description Emails in this state only, or in one of several, separated by commas. `deferred` is no state: it finds pending emails that have been tried before.
                 * @example pending,failed
                 */
                status?: string;
                /**
                 * @description Emails that carry this tag.
                 * @example newsletter
                 */
                tag?: string;
                /**
                 * @description `metadata.<key>=<value>`: emails whose metadata hold this value at this key, compared as text. May be given for several keys; all of them must hold.
                 * @example {
                 *       "metadata.order": "8713"
                 *     }
                 */
                metadata?: {
                    [key: string]: string;
                };
                /**
                 * @description Emails to this address: in To, Cc or Bcc.
                 * @example ada@example.com
                 */
                recipient?: string;
                /**
                 * @description Emails due at this time or later (RFC 3339 with offset or Z).
                 * @example 2030-01-01T00:00:00Z
                 */
                scheduled_after?: string;
                /**
                 * @description Emails due before this time.
                 * @example 2030-02-01T00:00:00Z
                 */
                scheduled_before?: string;
                /**
                 * @description Emails that something happened to at this time or later: accepted, changed, tried, ended. Ask again from a few seconds before your last request, so that nothing is missed.
                 * @example 2030-01-01T00:00:00Z
                 */
                updated_after?: string;
                /**
                 * @description The owner to list. Only an admin may ask for another owner's.
                 * @example ada
                 */
                owner?: string;
                /**
                 * @description How many entries a page has.
                 * @example 20
                 */
                limit?: number;
                /**
                 * @description How many entries to skip, newest first. Not together with `cursor`, which stays exact while entries are added.
                 * @example 0
                 */
                offset?: number;
                /**
                 * @description `page.next_cursor` of the answer before: the next page.
                 * @example WyIyMDMwLTAxLTAyIDAzOjA0OjA1LjY3ODkwMSswMCIsIjAxOTc3YzNlLTViMWUtN2NjMC05ZDVmLTNmMWMyYjdhOGUxMCJd
                 */
                cursor?: string;
                /**
                 * @description `-created_at`: newest first. `scheduled_at`: the earliest due first; a `cursor` of one order is none in the other.
                 * @example -created_at
                 */
                sort?: "-created_at" | "scheduled_at";
                /**
                 * @description Dead letters of this group, as `GET /api/v1/dead-letters/groups` names it.
                 * @example held
                 */
                group?: string;
                /**
                 * @description Dead letters whose last reply had this SMTP code.
                 * @example 550
                 */
                smtp_code?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["EmailStatus"][];
                        page: components["schemas"]["Page"];
                    };
                };
            };
        };
    };
    listDeadLetterGroups: {
        parameters: {
            query?: {
                /**
                 * @description How many entries a page has.
                 * @example 20
                 */
                limit?: number;
                /**
                 * @description How many entries to skip, newest first. Not together with `cursor`, which stays exact while entries are added.
                 * @example 0
                 */
                offset?: number;
                /**
                 * @description `page.next_cursor` of the answer before: the next page.
                 * @example eyJvZmZzZXQiOjIwfQ
                 */
                cursor?: string;
                /**
                 * @description Groups of this owner. Only an admin may ask for another owner's.
                 * @example ada
                 */
                owner?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page, the largest group first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["DeadLetterGroup"][];
                        page: components["schemas"]["Page"];
                    };
                };
            };
        };
    };
    replayDeadLetters: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description A value of your own choosing, a new one for each thing you mean to happen once. The same key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with another body it is refused. Kept until a day after the last email it made has ended.
                 * @example order-8713-confirmation
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BulkReplay"];
            };
        };
        responses: {
            /** @description How many were found and made pending. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Emails that the filter found. */
                            matched: number;
                            /** @description Of them pending again. */
                            replayed: number;
                            /** @description Id of this request in the journal; null: nothing was changed. */
                            bulk_id: string | null;
                            /** @description What the caller should know, in words. */
                            warnings: string[];
                        };
                    };
                };
            };
        };
    };
    replayDeadLetter: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description The version you have read, in double quotes. When the email has another one by now, nothing is changed and the answer is 412.
                 * @example "1"
                 */
                "If-Match"?: string;
            };
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["EmailEdit"];
            };
        };
        responses: {
            /** @description The email, pending again. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["EmailStatus"];
                    };
                };
            };
        };
    };
    dismissDeadLetter: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["Dismiss"];
            };
        };
        responses: {
            /** @description The email, dismissed. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["EmailStatus"];
                    };
                };
            };
        };
    };
    dismissDeadLetters: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description A value of your own choosing, a new one for each thing you mean to happen once. The same key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with another body it is refused. Kept until a day after the last email it made has ended.
                 * @example order-8713-confirmation
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["BulkDismiss"];
            };
        };
        responses: {
            /** @description How many were found and dismissed. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Emails that the filter found. */
                            matched: number;
                            /** @description Of them dismissed. */
                            dismissed: number;
                            /** @description Id of this request in the journal; null: nothing was changed. */
                            bulk_id: string | null;
                            /** @description What the caller should know, in words. */
                            warnings: string[];
                        };
                    };
                };
            };
        };
    };
    sendTestEmail: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description A value of your own choosing, a new one for each thing you mean to happen once. The same key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with another body it is refused. Kept until a day after the last email it made has ended.
                 * @example order-8713-confirmation
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["TestEmail"];
            };
        };
        responses: {
            /** @description How it ended, or how it stood after 30 seconds. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["TestResult"];
                    };
                };
            };
        };
    };
    getQueueStats: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The counts. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["QueueStats"];
                    };
                };
            };
        };
    };
    listAudit: {
        parameters: {
            query?: {
                /**
                 * @description Entries about this email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                email_id?: string;
                /**
                 * @description Entries of this action, such as `email.sent`.
                 * @example email.sent
                 */
                action?: string;
                /**
                 * @description Entries of what this actor did.
                 * @example ada
                 */
                actor?: string;
                /**
                 * @description The owner to list. Only an admin may ask for another owner's.
                 * @example ada
                 */
                owner?: string;
                /**
                 * @description Entries of this owner's chain. Only an admin may ask for another owner's.
                 * @example ada
                 */
                owner_id?: string;
                /**
                 * @description Entries made at this time or later.
                 * @example 2030-01-01T00:00:00Z
                 */
                after?: string;
                /**
                 * @description Entries made before this time.
                 * @example 2030-02-01T00:00:00Z
                 */
                before?: string;
                /**
                 * @description How many entries a page has.
                 * @example 20
                 */
                limit?: number;
                /**
                 * @description How many entries to skip, newest first. Not together with `cursor`, which stays exact while entries are added.
                 * @example 0
                 */
                offset?: number;
                /**
                 * @description `page.next_cursor` of the answer before: the next page.
                 * @example 1042
                 */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page; or, as NDJSON, all. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["AuditEntry"][];
                        page: components["schemas"]["Page"];
                    };
                };
            };
        };
    };
    verifyAudit: {
        parameters: {
            query?: {
                /**
                 * @description Entries of this owner's chain. Only an admin may ask for another owner's.
                 * @example ada
                 */
                owner_id?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The result of the check. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["Verdict"];
                    };
                };
            };
        };
    };
    getCheckpoint: {
        parameters: {
            query?: {
                /**
                 * @description Entries of this owner's chain. Only an admin may ask for another owner's.
                 * @example ada
                 */
                owner_id?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The checkpoint. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["Checkpoint"];
                    };
                };
            };
        };
    };
    listApiKeys: {
        parameters: {
            query?: {
                /**
                 * @description How many entries a page has.
                 * @example 20
                 */
                limit?: number;
                /**
                 * @description How many entries to skip, newest first. Not together with `cursor`, which stays exact while entries are added.
                 * @example 0
                 */
                offset?: number;
                /**
                 * @description `page.next_cursor` of the answer before: the next page.
                 * @example WyIyMDMwLTAxLTAyIDAzOjA0OjA1LjY3ODkwMSswMCIsIjAxOTc3YzNlLTViMWUtN2NjMC05ZDVmLTNmMWMyYjdhOGUxMCJd
                 */
                cursor?: string;
                /**
                 * @description The owner to list. Only an admin may ask for another owner's.
                 * @example ada
                 */
                owner?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["ApiKey"][];
                        page: components["schemas"]["Page"];
                    };
                };
            };
        };
    };
    createApiKey: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description A value of your own choosing, a new one for each thing you mean to happen once. The same key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with another body it is refused. Kept until a day after the last email it made has ended.
                 * @example order-8713-confirmation
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewApiKey"];
            };
        };
        responses: {
            /** @description The key, shown this once. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["NewApiKeyWithKey"];
                    };
                };
            };
        };
    };
    getApiKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the API key.
                 * @example 01977c3e-6a2f-7d10-8e4a-5c0d9b1f2a33
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The key's record. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["ApiKey"];
                    };
                };
            };
        };
    };
    revokeApiKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the API key.
                 * @example 01977c3e-6a2f-7d10-8e4a-5c0d9b1f2a33
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The key's record. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["ApiKey"];
                    };
                };
            };
        };
    };
    listEvents: {
        parameters: {
            query?: {
                /**
                 * @description Events of these types, several by commas; `email.*` stands for all.
                 * @example email.sent,email.bounced
                 */
                type?: string;
                /**
                 * @description Events of emails that carry this tag.
                 * @example orders
                 */
                tag?: string;
                /**
                 * @description Events after which the email had this status.
                 * @example failed
                 */
                status?: string;
                /**
                 * @description Events of this owner. Only an admin may ask for another owner's.
                 * @example ada
                 */
                owner?: string;
                /**
                 * @description How many entries a page has.
                 * @example 20
                 */
                limit?: number;
                /**
                 * @description How many entries to skip, newest first. Not together with `cursor`, which stays exact while entries are added.
                 * @example 0
                 */
                offset?: number;
                /**
                 * @description `page.next_cursor` of the answer before: the next page.
                 * @example 1
                 */
                cursor?: string;
                /**
                 * @description The `id` of an event: what comes behind it, oldest first. A stream begins there; the header `Last-Event-ID` comes before it.
                 * @example 1
                 */
                after?: string;
                /**
                 * @description In place of the header, for a stream that a browser's `EventSource` opens: a token of `POST /api/v1/events/token`.
                 * @example v1.key.nonce.text
                 */
                token?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of events. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Its place in the journal; `after` and `Last-Event-ID` take it. */
                            id: string;
                            /** @description What happened: `email.scheduled`, `email.rescheduled`, `email.updated`, `email.cancelled`, `email.sending`, `email.sent`, `email.deferred`, `email.bounced`, `email.failed`, `email.expired`, `email.held`, `email.released`, `email.uncertain`, `email.replayed`, `email.suppressed`; in a timeline also `email.shredded` and `claim.returned`. */
                            type: string;
                            /**
                             * Format: date-time
                             * @description When it happened.
                             */
                            timestamp: string;
                            /** @description Never content. */
                            data: {
                                /**
                                 * Format: uuid
                                 * @description Which email.
                                 */
                                email_id: string;
                                /** @description Orders the events of one email, from 1. */
                                sequence: number;
                                /** @description The email's status after it. */
                                status: string;
                                /** @description Number of the attempt it belongs to. */
                                attempt?: number;
                                /** @description The address it is about, when it is about one alone. */
                                recipient?: string;
                                /** @description Of the next hop's reply. */
                                smtp_code?: number;
                                /** @description What the next hop said. */
                                reply?: string;
                                /** @description The email's tags, as they are now. */
                                tags: string[];
                                /** @description The email's metadata, as they are now. */
                                metadata: {
                                    [key: string]: unknown;
                                };
                            };
                        }[];
                        page: {
                            /** @description How many entries a page has. */
                            limit: number;
                            /** @description How many were skipped; absent when asked by cursor. */
                            offset?: number;
                            /** @description How many there are in all; absent above 5,000, and when asked by cursor. */
                            total?: number;
                            /** @description Give it as `cursor` for the next page; null: this was the last. */
                            next_cursor: string | null;
                            /** @description With `after`: give it as `after` for what comes behind this page. */
                            next_after?: string;
                        };
                    };
                };
            };
        };
    };
    listEmailEvents: {
        parameters: {
            query?: {
                /**
                 * @description Events of these types, several by commas; `email.*` stands for all.
                 * @example email.sent,email.bounced
                 */
                type?: string;
                /**
                 * @description Events after which the email had this status.
                 * @example failed
                 */
                status?: string;
                /**
                 * @description How many entries a page has.
                 * @example 20
                 */
                limit?: number;
                /**
                 * @description How many entries to skip, newest first. Not together with `cursor`, which stays exact while entries are added.
                 * @example 0
                 */
                offset?: number;
                /**
                 * @description `page.next_cursor` of the answer before: the next page.
                 * @example 1
                 */
                cursor?: string;
                /**
                 * @description The `id` of an event: what comes behind it, oldest first. A stream begins there; the header `Last-Event-ID` comes before it.
                 * @example 1
                 */
                after?: string;
                /**
                 * @description In place of the header, for a stream that a browser's `EventSource` opens: a token of `POST /api/v1/events/token`.
                 * @example v1.key.nonce.text
                 */
                token?: string;
            };
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The timeline. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["TimelineEvent"][];
                        page: components["schemas"]["Page"];
                    };
                };
            };
        };
    };
    createStreamToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The token. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Give it as `token` in the address of a stream. */
                            token: string;
                            /**
                             * Format: date-time
                             * @description Until when a stream may be opened with it.
                             */
                            expires_at: string;
                        };
                    };
                };
            };
        };
    };
    listWebhooks: {
        parameters: {
            query?: {
                /**
                 * @description How many entries a page has.
                 * @example 20
                 */
                limit?: number;
                /**
                 * @description How many entries to skip, newest first. Not together with `cursor`, which stays exact while entries are added.
                 * @example 0
                 */
                offset?: number;
                /**
                 * @description `page.next_cursor` of the answer before: the next page.
                 * @example WyIyMDMwLTAxLTAyIDAzOjA0OjA1LjY3ODkwMSswMCIsIjAxOTc3YzNlLTViMWUtN2NjMC05ZDVmLTNmMWMyYjdhOGUxMCJd
                 */
                cursor?: string;
                /**
                 * @description Webhooks of this owner. Only an admin may ask for another owner's.
                 * @example ada
                 */
                owner?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of webhooks. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /**
                             * Format: uuid
                             * @description Id of the webhook.
                             */
                            id: string;
                            /** @description Where events are sent to. */
                            url: string;
                            /** @description What it is for, in your words. */
                            description: string | null;
                            /** @description Types of events, or `email.*`. */
                            events: string[];
                            /** @description Only events of emails that carry one of them; empty: of any. */
                            tags: string[];
                            /** @description False: nothing is sent. */
                            enabled: boolean;
                            /** @description It hears of everybody's events; for admins. */
                            all_owners: boolean;
                            /** @description Whose it is. */
                            owner: string;
                            /**
                             * Format: date-time
                             * @description When it was made.
                             */
                            created_at: string;
                            /** @description When it was disabled. */
                            disabled_at: string | null;
                            /** @description `gone`: it answered 410. `failing`: nothing succeeded in five days. */
                            disabled_reason: ("gone" | "failing") | null;
                            /** @description Failures since the last success. */
                            failures: number;
                            /** @description When the first of them was. */
                            failing_since: string | null;
                            /** @description When an event was last taken. */
                            last_success_at: string | null;
                            /** @description Until when a rotated secret signs beside the new one. */
                            old_secret_until: string | null;
                        }[];
                        page: components["schemas"]["Page"];
                    };
                };
            };
        };
    };
    createWebhook: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description A value of your own choosing, a new one for each thing you mean to happen once. The same key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with another body it is refused. Kept until a day after the last email it made has ended.
                 * @example order-8713-confirmation
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewWebhook"];
            };
        };
        responses: {
            /** @description The webhook, and its secret. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /**
                             * Format: uuid
                             * @description Id of the webhook.
                             */
                            id: string;
                            /** @description Where events are sent to. */
                            url: string;
                            /** @description What it is for, in your words. */
                            description: string | null;
                            /** @description Types of events, or `email.*`. */
                            events: string[];
                            /** @description Only events of emails that carry one of them; empty: of any. */
                            tags: string[];
                            /** @description False: nothing is sent. */
                            enabled: boolean;
                            /** @description It hears of everybody's events; for admins. */
                            all_owners: boolean;
                            /** @description Whose it is. */
                            owner: string;
                            /**
                             * Format: date-time
                             * @description When it was made.
                             */
                            created_at: string;
                            /** @description When it was disabled. */
                            disabled_at: string | null;
                            /** @description `gone`: it answered 410. `failing`: nothing succeeded in five days. */
                            disabled_reason: ("gone" | "failing") | null;
                            /** @description Failures since the last success. */
                            failures: number;
                            /** @description When the first of them was. */
                            failing_since: string | null;
                            /** @description When an event was last taken. */
                            last_success_at: string | null;
                            /** @description Until when a rotated secret signs beside the new one. */
                            old_secret_until: string | null;
                            /** @description What signatures are checked with. Shown here and never again. */
                            secret: string;
                        };
                    };
                };
            };
        };
    };
    getWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the webhook.
                 * @example 01977c3e-7b40-7e20-9f5b-6d1e0c2a3b44
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The webhook. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /**
                             * Format: uuid
                             * @description Id of the webhook.
                             */
                            id: string;
                            /** @description Where events are sent to. */
                            url: string;
                            /** @description What it is for, in your words. */
                            description: string | null;
                            /** @description Types of events, or `email.*`. */
                            events: string[];
                            /** @description Only events of emails that carry one of them; empty: of any. */
                            tags: string[];
                            /** @description False: nothing is sent. */
                            enabled: boolean;
                            /** @description It hears of everybody's events; for admins. */
                            all_owners: boolean;
                            /** @description Whose it is. */
                            owner: string;
                            /**
                             * Format: date-time
                             * @description When it was made.
                             */
                            created_at: string;
                            /** @description When it was disabled. */
                            disabled_at: string | null;
                            /** @description `gone`: it answered 410. `failing`: nothing succeeded in five days. */
                            disabled_reason: ("gone" | "failing") | null;
                            /** @description Failures since the last success. */
                            failures: number;
                            /** @description When the first of them was. */
                            failing_since: string | null;
                            /** @description When an event was last taken. */
                            last_success_at: string | null;
                            /** @description Until when a rotated secret signs beside the new one. */
                            old_secret_until: string | null;
                        };
                    };
                };
            };
        };
    };
    deleteWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the webhook.
                 * @example 01977c3e-7b40-7e20-9f5b-6d1e0c2a3b44
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is gone. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /**
                             * Format: uuid
                             * @description Id of the webhook.
                             */
                            id: string;
                            /**
                             * @description Always true.
                             * @constant
                             */
                            deleted: true;
                        };
                    };
                };
            };
        };
    };
    updateWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the webhook.
                 * @example 01977c3e-7b40-7e20-9f5b-6d1e0c2a3b44
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["WebhookChange"];
            };
        };
        responses: {
            /** @description The webhook as it is now. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /**
                             * Format: uuid
                             * @description Id of the webhook.
                             */
                            id: string;
                            /** @description Where events are sent to. */
                            url: string;
                            /** @description What it is for, in your words. */
                            description: string | null;
                            /** @description Types of events, or `email.*`. */
                            events: string[];
                            /** @description Only events of emails that carry one of them; empty: of any. */
                            tags: string[];
                            /** @description False: nothing is sent. */
                            enabled: boolean;
                            /** @description It hears of everybody's events; for admins. */
                            all_owners: boolean;
                            /** @description Whose it is. */
                            owner: string;
                            /**
                             * Format: date-time
                             * @description When it was made.
                             */
                            created_at: string;
                            /** @description When it was disabled. */
                            disabled_at: string | null;
                            /** @description `gone`: it answered 410. `failing`: nothing succeeded in five days. */
                            disabled_reason: ("gone" | "failing") | null;
                            /** @description Failures since the last success. */
                            failures: number;
                            /** @description When the first of them was. */
                            failing_since: string | null;
                            /** @description When an event was last taken. */
                            last_success_at: string | null;
                            /** @description Until when a rotated secret signs beside the new one. */
                            old_secret_until: string | null;
                        };
                    };
                };
            };
        };
    };
    rotateWebhookSecret: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the webhook.
                 * @example 01977c3e-7b40-7e20-9f5b-6d1e0c2a3b44
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["SecretRotation"];
            };
        };
        responses: {
            /** @description The webhook, and its new secret. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /**
                             * Format: uuid
                             * @description Id of the webhook.
                             */
                            id: string;
                            /** @description Where events are sent to. */
                            url: string;
                            /** @description What it is for, in your words. */
                            description: string | null;
                            /** @description Types of events, or `email.*`. */
                            events: string[];
                            /** @description Only events of emails that carry one of them; empty: of any. */
                            tags: string[];
                            /** @description False: nothing is sent. */
                            enabled: boolean;
                            /** @description It hears of everybody's events; for admins. */
                            all_owners: boolean;
                            /** @description Whose it is. */
                            owner: string;
                            /**
                             * Format: date-time
                             * @description When it was made.
                             */
                            created_at: string;
                            /** @description When it was disabled. */
                            disabled_at: string | null;
                            /** @description `gone`: it answered 410. `failing`: nothing succeeded in five days. */
                            disabled_reason: ("gone" | "failing") | null;
                            /** @description Failures since the last success. */
                            failures: number;
                            /** @description When the first of them was. */
                            failing_since: string | null;
                            /** @description When an event was last taken. */
                            last_success_at: string | null;
                            /** @description Until when a rotated secret signs beside the new one. */
                            old_secret_until: string | null;
                            /** @description What signatures are checked with. Shown here and never again. */
                            secret: string;
                        };
                    };
                };
            };
        };
    };
    testWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the webhook.
                 * @example 01977c3e-7b40-7e20-9f5b-6d1e0c2a3b44
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["WebhookTest"];
            };
        };
        responses: {
            /** @description What became of it. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description The `webhook-id` of every try. */
                            id: string;
                            /** @description Of the event. */
                            type: string;
                            /** @description The event's place in the journal; null: it was a test. */
                            event_id: string | null;
                            /** @description Which email. */
                            email_id: string | null;
                            /** @description Orders the events of one email. */
                            sequence: number | null;
                            /**
                             * @description `pending`: it will be tried again; `failed`: it will not.
                             * @enum {string}
                             */
                            outcome: "pending" | "delivered" | "failed";
                            /** @description How often it was tried. */
                            tries: number;
                            /** @description Of the last answer; null: none came. */
                            status_code: number | null;
                            /** @description Why the last try failed. */
                            error: string | null;
                            /** @description How long the last try took. */
                            duration_ms: number | null;
                            /** @description The first 4 kB of the last answer. */
                            answer: string | null;
                            /**
                             * Format: date-time
                             * @description When it was first tried.
                             */
                            created_at: string;
                            /** @description When it was last tried. */
                            last_try_at: string | null;
                            /** @description When it will be tried again; null unless pending. */
                            next_try_at: string | null;
                        };
                    };
                };
            };
        };
    };
    replayWebhook: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the webhook.
                 * @example 01977c3e-7b40-7e20-9f5b-6d1e0c2a3b44
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["WebhookReplay"];
            };
        };
        responses: {
            /** @description How many. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Events of that time that the webhook asks for. */
                            matched: number;
                            /** @description How many are sent again; 0 in a dry run. */
                            replayed: number;
                        };
                    };
                };
            };
        };
    };
    listWebhookDeliveries: {
        parameters: {
            query?: {
                /**
                 * @description Deliveries that came to this.
                 * @example failed
                 */
                outcome?: "pending" | "delivered" | "failed";
                /**
                 * @description How many entries a page has.
                 * @example 20
                 */
                limit?: number;
                /**
                 * @description How many entries to skip, newest first. Not together with `cursor`, which stays exact while entries are added.
                 * @example 0
                 */
                offset?: number;
                /**
                 * @description `page.next_cursor` of the answer before: the next page.
                 * @example WyIyMDMwLTAxLTAyIDAzOjA0OjA1LjY3ODkwMSswMCIsIm1zZ181d0Z6VzB5VmhLUTB2MU4yYzNSNGRFNWZHNmgiXQ
                 */
                cursor?: string;
            };
            header?: never;
            path: {
                /**
                 * @description Id of the webhook.
                 * @example 01977c3e-7b40-7e20-9f5b-6d1e0c2a3b44
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of deliveries. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description The `webhook-id` of every try. */
                            id: string;
                            /** @description Of the event. */
                            type: string;
                            /** @description The event's place in the journal; null: it was a test. */
                            event_id: string | null;
                            /** @description Which email. */
                            email_id: string | null;
                            /** @description Orders the events of one email. */
                            sequence: number | null;
                            /**
                             * @description `pending`: it will be tried again; `failed`: it will not.
                             * @enum {string}
                             */
                            outcome: "pending" | "delivered" | "failed";
                            /** @description How often it was tried. */
                            tries: number;
                            /** @description Of the last answer; null: none came. */
                            status_code: number | null;
                            /** @description Why the last try failed. */
                            error: string | null;
                            /** @description How long the last try took. */
                            duration_ms: number | null;
                            /** @description The first 4 kB of the last answer. */
                            answer: string | null;
                            /**
                             * Format: date-time
                             * @description When it was first tried.
                             */
                            created_at: string;
                            /** @description When it was last tried. */
                            last_try_at: string | null;
                            /** @description When it will be tried again; null unless pending. */
                            next_try_at: string | null;
                        }[];
                        page: components["schemas"]["Page"];
                    };
                };
            };
        };
    };
    replayWebhookDelivery: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the webhook.
                 * @example 01977c3e-7b40-7e20-9f5b-6d1e0c2a3b44
                 */
                id: string;
                /**
                 * @description Id of the delivery.
                 * @example msg_5wFzW0yVhKQ0v1N2c3R4dE5fG6h
                 */
                delivery: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is due now. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description The `webhook-id` of every try. */
                            id: string;
                            /** @description Of the event. */
                            type: string;
                            /** @description The event's place in the journal; null: it was a test. */
                            event_id: string | null;
                            /** @description Which email. */
                            email_id: string | null;
                            /** @description Orders the events of one email. */
                            sequence: number | null;
                            /**
                             * @description `pending`: it will be tried again; `failed`: it will not.
                             * @enum {string}
                             */
                            outcome: "pending" | "delivered" | "failed";
                            /** @description How often it was tried. */
                            tries: number;
                            /** @description Of the last answer; null: none came. */
                            status_code: number | null;
                            /** @description Why the last try failed. */
                            error: string | null;
                            /** @description How long the last try took. */
                            duration_ms: number | null;
                            /** @description The first 4 kB of the last answer. */
                            answer: string | null;
                            /**
                             * Format: date-time
                             * @description When it was first tried.
                             */
                            created_at: string;
                            /** @description When it was last tried. */
                            last_try_at: string | null;
                            /** @description When it will be tried again; null unless pending. */
                            next_try_at: string | null;
                        };
                    };
                };
            };
        };
    };
    listSigningKeys: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Every key. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Id of the key. */
                            kid: string;
                            /** @description Null: the key set has it no more. */
                            algorithm: string | null;
                            /** @description Since when no token of it counts; null: they do. */
                            dropped_at: string | null;
                        }[];
                    };
                };
            };
        };
    };
    dropSigningKey: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description `kid` of the signing key, as `GET /api/v1/signing-keys` lists it.
                 * @example 2027-key-1
                 */
                kid: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is dropped. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Id of the key. */
                            kid: string;
                            /**
                             * @description No token signed with it counts any more.
                             * @constant
                             */
                            status: "dropped";
                        };
                    };
                };
            };
        };
    };
    listOwners: {
        parameters: {
            query?: {
                /**
                 * @description How many entries a page has.
                 * @example 20
                 */
                limit?: number;
                /**
                 * @description How many entries to skip, newest first. Not together with `cursor`, which stays exact while entries are added.
                 * @example 0
                 */
                offset?: number;
                /**
                 * @description `page.next_cursor` of the answer before: the next page.
                 * @example eyJhZnRlciI6ImFkYSJ9
                 */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Whose emails: the `sub` of their tokens. */
                            owner: string;
                            /** @description What counts against the quotas. */
                            usage: {
                                /** @description Emails accepted since midnight UTC. */
                                accepted_today: number;
                                /** @description Emails that wait to be sent. */
                                pending: number;
                            };
                            /** @description Null: as many as they like. */
                            quotas: {
                                /** @description `QUOTA_EMAILS_PER_DAY`. */
                                emails_per_day: number | null;
                                /** @description `QUOTA_PENDING`. */
                                pending: number | null;
                            };
                            /** @description When the journal last heard of them; a second or two late. */
                            last_activity_at: string | null;
                        }[];
                        page: components["schemas"]["Page"];
                    };
                };
            };
        };
    };
    listCheckpoints: {
        parameters: {
            query?: {
                /**
                 * @description How many entries a page has.
                 * @example 20
                 */
                limit?: number;
                /**
                 * @description How many entries to skip, newest first. Not together with `cursor`, which stays exact while entries are added.
                 * @example 0
                 */
                offset?: number;
                /**
                 * @description `page.next_cursor` of the answer before: the next page.
                 * @example 1042
                 */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["Checkpoint"][];
                        page: components["schemas"]["Page"];
                    };
                };
            };
        };
    };
    examine: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One entry for each look. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["Check"][];
                    };
                };
            };
        };
    };
    reconcile: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description What it found. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["ReconcilerRound"];
                    };
                };
            };
        };
    };
    copyDatabase: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Where the copy lies. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Name of the copy's folder in `DATA_DIR`. */
                            folder: string;
                            /** @description Of all its files. */
                            size_bytes: number;
                            /** @description For how long nothing else could use the database. */
                            held_ms: number;
                        };
                    };
                };
            };
        };
    };
    pauseSending: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["Pause"];
            };
        };
        responses: {
            /** @description The pause; the earlier one when it was paused already. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: components["schemas"]["PauseOfSending"];
                    };
                };
            };
        };
    };
    endSessions: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["EndSessions"];
            };
        };
        responses: {
            /** @description How many have ended. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Whose; null: everybody's. */
                            owner: string | null;
                            /** @description How many. */
                            ended: number;
                        };
                    };
                };
            };
        };
    };
    endTokens: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["EndTokens"];
            };
        };
        responses: {
            /** @description From when on tokens count. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /** @description Whose. */
                            sub: string;
                            /**
                             * Format: date-time
                             * @description A token counts that was issued then or later.
                             */
                            not_before: string;
                            /** @description Sessions of the console that ended with them. */
                            sessions_ended: number;
                        };
                    };
                };
            };
        };
    };
    resumeSending: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                "application/json": components["schemas"]["Resume"];
            };
        };
        responses: {
            /** @description Whether there was a pause to end. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always true here.
                         * @constant
                         */
                        success: true;
                        data: {
                            /**
                             * @description What goes on.
                             * @enum {string}
                             */
                            kind: "region" | "owner" | "database";
                            /** @description Of the region, id of the owner, or `restored`. */
                            name: string;
                            /** @description Whether there was a pause to end. */
                            was_paused: boolean;
                            /** @description Of `restored`: emails that are held for a decision now. */
                            held?: number;
                        };
                    };
                };
            };
        };
    };
    resendListEmails: {
        parameters: {
            query?: {
                /**
                 * @description How many entries a page has.
                 * @example 20
                 */
                limit?: number;
                /**
                 * @description Id of an entry: those that come after it.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                after?: string;
                /**
                 * @description Id of an entry: those that come before it. Not together with `after`.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                before?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always this.
                         * @constant
                         */
                        object: "list";
                        /** @description Whether there are more in this direction. */
                        has_more: boolean;
                        /** @description The entries. */
                        data: components["schemas"]["ResendListedEmail"][];
                    };
                };
            };
        };
    };
    resendSendEmail: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description A value of your own choosing, a new one for each thing you mean to happen once. The same key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with another body it is refused. Kept until a day after the last email it made has ended.
                 * @example order-8713-confirmation
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ResendEmail"];
            };
        };
        responses: {
            /** @description It is accepted. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ResendSentEmail"];
                };
            };
        };
    };
    resendSendBatch: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description A value of your own choosing, a new one for each thing you mean to happen once. The same key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with another body it is refused. Kept until a day after the last email it made has ended.
                 * @example order-8713-confirmation
                 */
                "Idempotency-Key"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ResendBatch"];
            };
        };
        responses: {
            /** @description They are accepted, in the order of the request. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @description The new emails. */
                        data: components["schemas"]["ResendSentEmail"][];
                        /** @description Those that are not fit; only when permissive. */
                        errors?: {
                            /** @description Place, from 0. */
                            index: number;
                            /** @description The fault of this email. */
                            message: string;
                        }[];
                    };
                };
            };
        };
    };
    resendGetEmail: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The email. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ResendWholeEmail"];
                };
            };
        };
    };
    resendUpdateEmail: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["ResendUpdate"];
            };
        };
        responses: {
            /** @description It is due then. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always this.
                         * @constant
                         */
                        object: "email";
                        /**
                         * Format: uuid
                         * @description Id of the email.
                         */
                        id: string;
                        /**
                         * Format: date-time
                         * @description When it is due by now, in UTC.
                         */
                        scheduled_at?: string;
                    };
                };
            };
        };
    };
    resendCancelEmail: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description Id of the email.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It is cancelled. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always this.
                         * @constant
                         */
                        object: "email";
                        /**
                         * Format: uuid
                         * @description Id of the email.
                         */
                        id: string;
                        /**
                         * Format: date-time
                         * @description When it is due by now, in UTC.
                         */
                        scheduled_at?: string;
                    };
                };
            };
        };
    };
    resendListDomains: {
        parameters: {
            query?: {
                /**
                 * @description How many entries a page has.
                 * @example 20
                 */
                limit?: number;
                /**
                 * @description Id of an entry: those that come after it.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                after?: string;
                /**
                 * @description Id of an entry: those that come before it. Not together with `after`.
                 * @example 01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10
                 */
                before?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description One page. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Always this.
                         * @constant
                         */
                        object: "list";
                        /** @description Whether there are more in this direction. */
                        has_more: boolean;
                        /** @description The entries. */
                        data: {
                            /**
                             * Format: uuid
                             * @description Made of its name.
                             */
                            id: string;
                            /** @description The domain. */
                            name: string;
                            /**
                             * @description Always: the configuration permits it.
                             * @constant
                             */
                            status: "verified";
                            /**
                             * Format: date-time
                             * @description Not known: the beginning of 1970.
                             */
                            created_at: string;
                            /** @description The region that answers. */
                            region: string;
                            /** @description What it may be used for. */
                            capabilities: {
                                /**
                                 * @description Always.
                                 * @constant
                                 */
                                sending: "enabled";
                                /**
                                 * @description Always.
                                 * @constant
                                 */
                                receiving: "disabled";
                            };
                        }[];
                    };
                };
            };
        };
    };
    getHealth: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It works, if only degraded. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Health"];
                };
            };
        };
    };
    getLiveness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description It does. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description It answers.
                         * @constant
                         */
                        status: "ok";
                    };
                };
            };
        };
    };
    getReadiness: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description They are. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description `degraded`: it works, but somebody should look. `down`: it does not.
                         * @enum {string}
                         */
                        status: "ok" | "degraded" | "down";
                        /** @description Why nothing is taken. */
                        reason?: string;
                    };
                };
            };
        };
    };
    getMetrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The metrics. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
        };
    };
    getOpenApi: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The document. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @description Version of OpenAPI. */
                        openapi: string;
                        /** @description About the API. */
                        info: {
                            [key: string]: unknown;
                        };
                        /** @description Its operations. */
                        paths: {
                            [key: string]: unknown;
                        };
                    } & {
                        [key: string]: unknown;
                    };
                };
            };
        };
    };
}
