// The live view of `tessera train --serve`: curves, samples, and a talk with the newest checkpoint.
import { render } from "preact";
import { percent, seconds, shortNumber } from "../words/words";
import { Chart, type Curve } from "./chart";
import { type Point, follow, points, samples, silent, state } from "./run";
import { Talk } from "./talk";
import { trainingWords } from "./words";

function curve(name: string, colour: Curve["colour"], value: (point: Point) => number | undefined, smooth = false): Curve {
  const found = points.value.filter((point) => value(point) !== undefined);
  return { name, colour, smooth, x: found.map((point) => point.step), y: found.map((point) => value(point)!) };
}

function Head() {
  const words = trainingWords();
  const now = state.value;
  return (
    <header class="run-head">
      <h1>{words.title} {now && <bdi>{now.run}</bdi>}</h1>
      {silent.value ? <p class="problem" role="status">{words.silent}</p> : now === null || now.step === 0 ? <p class="soft">{words.waiting}</p> : (
        <>
          <progress max={now.steps} value={now.step} aria-label={words.step(now.step, now.steps)} />
          <p class="facts">
            <span>{words.step(now.step, now.steps)}</span>
            <span>{words.left(seconds(now.seconds_left))}</span>
            <span>{words.tokens(shortNumber(now.tokens_per_second))}</span>
            <span>{words.peak(percent(now.share_of_peak))}</span>
          </p>
        </>
      )}
    </header>
  );
}

function Curves() {
  const words = trainingWords();
  return (
    <div class="charts">
      <Chart title={words.loss} curves={[
        curve(words.training, "train", (point) => point.loss, true),
        curve(words.validation, "validation", (point) => point.validation_loss),
        curve(words.average, "average", (point) => point.ema_validation_loss),
      ]} />
      <Chart title={words.learningRate} curves={[curve("", "other", (point) => point.learning_rate)]} />
      <Chart title={words.gradientNorm} curves={[curve("", "train", (point) => point.gradient_norm, true)]} />
      <Chart title={words.speed} curves={[curve("", "validation", (point) => point.tokens_per_second, true)]} />
    </div>
  );
}

function Samples() {
  const words = trainingWords();
  return (
    <section class="panel samples" aria-labelledby="samples">
      <h2 id="samples">{words.samples}</h2>
      {samples.value.length === 0 && <p class="soft">{words.noSamples}</p>}
      {samples.value.slice(-30).reverse().map((sample) => (
        <article key={sample.step}>
          <small>{sample.step.toLocaleString()}</small>
          <pre class="written"><b>{sample.prompt}</b>{sample.text}</pre>
        </article>
      ))}
    </section>
  );
}

function TrainingPage() {
  return (
    <main class="training">
      <Head />
      <Curves />
      <div class="below">
        <Talk />
        <Samples />
      </div>
    </main>
  );
}

render(<TrainingPage />, document.getElementById("page")!);
follow();
