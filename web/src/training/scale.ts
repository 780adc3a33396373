// From numbers to places on a drawing, and what a curve looks like there.

export interface Scale {
  at(value: number): number;
  invert(place: number): number;
  ticks(about: number): number[];
}

export function linearScale([low, high]: [number, number], [from, to]: [number, number]): Scale {
  const span = high - low || 1;
  return {
    at: (value) => from + ((Math.min(high, Math.max(low, value)) - low) / span) * (to - from),
    invert: (place) => low + ((place - from) / (to - from)) * span,
    ticks: (about) => ticks(low, high, about),
  };
}

// Round numbers within [low, high]: multiples of 1, 2 or 5 times a power of ten.
export function ticks(low: number, high: number, about: number): number[] {
  const rough = (high - low) / Math.max(1, about);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough) ?? rough;
  const found: number[] = [];
  for (let k = Math.ceil(low / size); k * size <= high; ++k) found.push(Number((k * size).toPrecision(12)));
  return found;
}

export function path(xs: number[], ys: number[], x: Scale, y: Scale): string {
  return xs.map((value, i) => `${i === 0 ? "M" : "L"}${x.at(value).toFixed(1)} ${y.at(ys[i]!).toFixed(1)}`).join("");
}

// An exponential moving average without the bias of its beginning.
export function smoothed(values: number[], factor = 0.9): number[] {
  let sum = 0;
  let weight = 0;
  return values.map((value) => {
    sum = factor * sum + (1 - factor) * value;
    weight = factor * weight + (1 - factor);
    return sum / weight;
  });
}

// The index of the ascending `xs` that is next to `value`; -1 when there is none.
export function nearest(xs: number[], value: number): number {
  let low = 0;
  let high = xs.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low > 0 && value - xs[low - 1]! < xs[low]! - value ? low - 1 : Math.min(low, xs.length - 1);
}
