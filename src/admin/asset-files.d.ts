/** Files of the front end are imported as text, so that the compiled binary carries them. */
declare module "*.css" {
  const text: string;
  export = text;
}
declare module "*/public/console.js" {
  const text: string;
  export = text;
}
declare module "*/public/live.js" {
  const text: string;
  export = text;
}
declare module "*/public/favicon.svg" {
  const text: string;
  export = text;
}
declare module "*/public/board.js" {
  const text: string;
  export = text;
}
declare module "*/public/docs.css" {
  const text: string;
  export = text;
}
declare module "*/public/way-of-an-email.svg" {
  const text: string;
  export = text;
}
declare module "*/public/reference.css" {
  const text: string;
  export = text;
}
declare module "*/public/reference.js" {
  const text: string;
  export = text;
}
declare module "*/public/docs.js" {
  const text: string;
  export = text;
}
