// The training run as the page knows it: asked for every second, kept in signals.
import { signal } from "@preact/signals";

export interface Point {
  step: number;
  loss: number;
  learning_rate: number;
  gradient_norm: number;
  tokens_per_second: number;
  validation_loss?: number;
  ema_validation_loss?: number;
}
export interface Sample {
  step: number;
  prompt: string;
  text: string;
}
export interface RunState {
  run: string;
  step: number;
  steps: number;
  seconds_left: number;
  tokens_per_second: number;
  share_of_peak: number;
  checkpoint: string | null;
  points: Point[];
  samples: Sample[];
}

export const state = signal<RunState | null>(null);
export const points = signal<Point[]>([]);
export const samples = signal<Sample[]>([]);
// Nothing answers: the run has ended, or the connection is gone.
export const silent = signal(false);

const milliseconds = 1000;
// Beyond these every second point goes: a curve is no wider than a screen.
const mostPoints = 4000;

function thinned(all: Point[]): Point[] {
  if (all.length <= mostPoints) return all;
  return all.filter((point, at) => at % 2 === 0 || point.validation_loss !== undefined || at === all.length - 1);
}

export async function refresh(): Promise<void> {
  const after = Math.max(points.value.at(-1)?.step ?? -1, samples.value.at(-1)?.step ?? -1);
  // A sample comes after its step's point: ask from the older of the two, and pass over what is there.
  const from = Math.min(points.value.at(-1)?.step ?? -1, after);
  try {
    const response = await fetch(from > 0 ? `/api/training?after=${from - 1}` : "/api/training");
    if (!response.ok) throw new Error(String(response.status));
    const found = (await response.json()) as RunState;
    const lastPoint = points.value.at(-1)?.step ?? -1;
    const newPoints = found.points.filter((point) => point.step > lastPoint);
    const lastSample = samples.value.at(-1)?.step ?? -1;
    const newSamples = found.samples.filter((sample) => sample.step > lastSample);
    if (newPoints.length > 0) points.value = thinned([...points.value, ...newPoints]);
    if (newSamples.length > 0) samples.value = [...samples.value, ...newSamples];
    state.value = found;
    silent.value = false;
  } catch {
    silent.value = true;
  }
}

export function follow(): void {
  void refresh().finally(() => setTimeout(follow, milliseconds));
}
