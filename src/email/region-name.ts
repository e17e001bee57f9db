/** How REGION may be named, and so what may be asked of a region: in journal, logs and keys too. */
export const regionNamePattern = /^[A-Za-z0-9][\w.-]{0,62}$/;

/** The pattern in words, for whoever gave another name. */
export const regionNameWords =
  "1 to 63 letters, digits, dots, dashes and underscores, of which the first is a letter or a digit";
