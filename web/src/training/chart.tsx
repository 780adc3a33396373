// A chart of curves over the step, drawn as SVG nodes; pointing at it tells the values.
import { useState } from "preact/hooks";
import { type Scale, linearScale, nearest, path, smoothed } from "./scale";

export interface Curve {
  name: string;
  colour: "train" | "validation" | "average" | "other";
  x: number[];
  y: number[];
  smooth?: boolean; // a pale line as measured, a firm one as it runs
}

const width = 560;
const height = 240;
const edge = { left: 52, right: 12, top: 10, bottom: 26 };

export function shortValue(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 0.01) return value.toExponential(1);
  return size >= 1000 ? new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value) : value.toPrecision(4).replace(/\.?0+$/, "");
}

export function Chart({ title, curves }: { title: string; curves: Curve[] }) {
  const [pointed, point] = useState<number | null>(null);
  const drawn = curves.filter((curve) => curve.x.length > 0);
  const xs = drawn.flatMap((curve) => [curve.x[0]!, curve.x.at(-1)!]);
  const x = linearScale([Math.min(...xs, 0), Math.max(...xs, 1)], [edge.left, width - edge.right]);
  const y = linearScale(range(drawn), [height - edge.bottom, edge.top]);
  const step = pointed === null ? null : x.invert(pointed);
  return (
    <figure class="chart" data-chart={title}>
      <figcaption>
        <b>{title}</b>
        {drawn.map((curve) => (
          <span key={curve.name} class={`legend ${curve.colour}`}>{curve.name} <output>{valueAt(curve, step)}</output></span>
        ))}
      </figcaption>
      <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={title}
        onPointerMove={(event) => point(((event.clientX - event.currentTarget.getBoundingClientRect().left) / event.currentTarget.clientWidth) * width)}
        onPointerLeave={() => point(null)}>
        <Axes x={x} y={y} />
        {drawn.map((curve) => (
          <g key={curve.name} class={`curve ${curve.colour}`}>
            {curve.smooth === true && <path class="faint" d={path(curve.x, curve.y, x, y)} />}
            <path d={path(curve.x, curve.smooth === true ? smoothed(curve.y) : curve.y, x, y)} />
            {curve.x.length <= 60 && curve.smooth !== true && curve.x.map((at, i) => <circle key={at} cx={x.at(at)} cy={y.at(curve.y[i]!)} r="2.4" />)}
          </g>
        ))}
        {step !== null && <line class="pointer" x1={x.at(step)} x2={x.at(step)} y1={edge.top} y2={height - edge.bottom} />}
      </svg>
    </figure>
  );
}

function valueAt(curve: Curve, step: number | null): string {
  const index = step === null ? curve.x.length - 1 : nearest(curve.x, step);
  const value = curve.y[index];
  return value === undefined ? "" : shortValue(value);
}

// Without the few highest values, so that the beginning does not flatten the rest.
function range(curves: Curve[]): [number, number] {
  const all = curves.flatMap((curve) => curve.y).sort((a, b) => a - b);
  if (all.length === 0) return [0, 1];
  const low = all[0]!;
  const high = all[Math.min(all.length - 1, Math.floor(all.length * 0.995))]!;
  const margin = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - margin, high + margin];
}

function Axes({ x, y }: { x: Scale; y: Scale }) {
  return (
    <g class="axes">
      {y.ticks(4).map((tick) => (
        <g key={tick}>
          <line x1={edge.left} x2={width - edge.right} y1={y.at(tick)} y2={y.at(tick)} />
          <text x={edge.left - 7} y={y.at(tick) + 4} text-anchor="end">{shortValue(tick)}</text>
        </g>
      ))}
      {x.ticks(5).map((tick) => (
        <text key={tick} x={x.at(tick)} y={height - 8} text-anchor="middle">{shortValue(tick)}</text>
      ))}
    </g>
  );
}
