/** Files of the front end are imported as text, so that the compiled binary carries them. */
declare module "*/public/style.css" {
  const text: string;
  export = text;
}
declare module "*/public/mails.css" {
  const text: string;
  export = text;
}
declare module "*/public/console.js" {
  const text: string;
  export = text;
}
declare module "*/public/favicon.svg" {
  const text: string;
  export = text;
}
declare module "*/public/board.css" {
  const text: string;
  export = text;
}
declare module "*/public/board.js" {
  const text: string;
  export = text;
}
