/** How `pg` turns a JavaScript value into the text of a parameter; its types leave this out. */
declare module "pg/lib/utils.js" {
  export function prepareValue(value: unknown): string | Buffer | null;
}
