/** How the journal names a person at the command line: a name that no token of a user has. */
export const operator = { role: "admin", sub: "taskforce-mailer:cli" } as const;
