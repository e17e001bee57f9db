import type { Curve } from "./figure.ts";
import { short } from "./figure.ts";

export interface PictureWords {
  title: string;
  x: string;
  y: string;
  /** Widest x that is shown; the longest curve otherwise. */
  xMax?: number;
}

const width = 760;
const height = 420;
const edge = { left: 70, right: 20, top: 50, bottom: 60 };
const colours = ["#0b6e4f", "#c8553d", "#3d5a80", "#8d6a9f", "#b08900"];
const pointsMax = 300;

/** An SVG of curves with axes that begin at 0; readable on white and on dark pages alike. */
export function picture(curves: Curve[], words: PictureWords): string {
  const all = curves.flatMap(({ points }) => points);
  const xMax = words.xMax ?? largest(all.map(([x]) => x));
  const yMax = largest(all.map(([, y]) => y));
  const left = (x: number) => edge.left + (x / xMax) * (width - edge.left - edge.right);
  const top = (y: number) => height - edge.bottom - (y / yMax) * (height - edge.top - edge.bottom);
  const lines = curves.map((curve, index) => {
    const path = thinned(curve.points)
      .filter(([x]) => x <= xMax)
      .map(([x, y]) => `${left(x).toFixed(1)},${top(y).toFixed(1)}`)
      .join(" ");
    const colour = colours[index % colours.length];
    // Below, on the right: there no curve is that has risen.
    const y = height - edge.bottom - 18 * (curves.length - index) - 10;
    return (
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${path}"/>\n` +
      `<text x="${width - edge.right - 8}" y="${y + 12}" text-anchor="end" fill="${colour}">` +
      `${escaped(curve.name)}</text>`
    );
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">
<title>${escaped(words.title)}</title>
<rect width="${width}" height="${height}" fill="#ffffff"/>
<text x="${edge.left}" y="28" font-size="16">${escaped(words.title)}</text>
${[0, 0.25, 0.5, 0.75, 1].map((share) => ticks(share, xMax, yMax, left, top)).join("\n")}
<text x="${width / 2}" y="${height - 14}" text-anchor="middle">${escaped(words.x)}</text>
<text transform="translate(16 ${height / 2}) rotate(-90)" text-anchor="middle">${escaped(words.y)}</text>
${lines.join("\n")}
</svg>
`;
}

function ticks(
  share: number,
  xMax: number,
  yMax: number,
  left: (x: number) => number,
  top: (y: number) => number,
): string {
  const x = left(share * xMax);
  const y = top(share * yMax);
  return (
    `<line x1="${edge.left}" x2="${width - edge.right}" y1="${y}" y2="${y}" stroke="#dddddd"/>` +
    `<text x="${edge.left - 6}" y="${y + 4}" text-anchor="end">${short(share * yMax)}</text>` +
    `<text x="${x}" y="${height - edge.bottom + 18}" text-anchor="middle">${short(share * xMax)}</text>`
  );
}

/** The curve of a share: how many of all were not later than so many milliseconds. */
export function distribution(name: string, values: number[]): Curve {
  const sorted = values.toSorted((a, b) => a - b);
  return {
    name,
    points: sorted.map((value, index) => [value, ((index + 1) / sorted.length) * 100]),
  };
}

function thinned(points: Curve["points"]): Curve["points"] {
  const step = Math.ceil(points.length / pointsMax);
  return points.filter((_, index) => index % step === 0 || index === points.length - 1);
}

/** At least 1, since axes are divided by it. */
function largest(values: number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 1);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
