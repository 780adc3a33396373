// System prompt and sampling of the open session. Empty means: as the server does by default.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Parameters } from "../api/types";
import type { Conversation } from "../state/conversation";
import { server } from "../state/server";
import { attempt } from "../state/sessions";
import { wantProbabilities } from "../state/settings";
import { words } from "../words/words";

type NumberName = Exclude<keyof Parameters, "mode" | "system" | "stop">;

interface NumberField {
  name: NumberName;
  least: number;
  most: number;
  step: number;
}

const sampling: NumberField[] = [
  { name: "temperature", least: 0, most: 2, step: 0.05 },
  { name: "top_k", least: 0, most: 1000, step: 1 },
  { name: "top_p", least: 0.01, most: 1, step: 0.01 },
  { name: "min_p", least: 0, most: 1, step: 0.01 },
  { name: "repeat_penalty", least: 0.01, most: 10, step: 0.01 },
  { name: "frequency_penalty", least: -2, most: 2, step: 0.05 },
  { name: "presence_penalty", least: -2, most: 2, step: 0.05 },
];
const limits: NumberField[] = [
  { name: "max_tokens", least: 1, most: 1_000_000, step: 1 },
  { name: "seed", least: 0, most: Number.MAX_SAFE_INTEGER, step: 1 },
];

function without<K extends keyof Parameters>(parameters: Parameters, name: K): Parameters {
  const rest = { ...parameters };
  delete rest[name];
  return rest;
}

function NumberInput(props: { field: NumberField; value: number | undefined; onChange(value: number | undefined): void }) {
  const { field, value } = props;
  const w = words();
  const [wrong, setWrong] = useState(false);
  const usual = server.value?.defaults?.[field.name];
  const fallback = field.name === "seed" ? w.seedHint : field.name === "max_tokens" ? w.unlimited : w.byDefault;
  const take = (text: string) => {
    const number = Number(text);
    const whole = field.step !== 1 || Number.isInteger(number);
    const good = text === "" || (whole && number >= field.least && number <= field.most);
    setWrong(!good);
    if (good) props.onChange(text === "" ? undefined : number);
  };
  return (
    <label class="field number-field" title={w.parameterHelp[field.name]}>
      <span>{w.parameterNames[field.name]}</span>
      <input
        type="number"
        inputmode="decimal"
        min={field.least}
        max={field.most}
        step={field.step === 1 ? 1 : "any"}
        value={value ?? ""}
        placeholder={usual === undefined || usual === null || usual < 0 ? fallback : String(Math.round(usual * 1000) / 1000)}
        aria-invalid={wrong}
        onChange={(e) => take(e.currentTarget.value)}
      />
      {wrong ? <small class="wrong" role="alert">{w.outOfRange(field.least, field.most)}</small> : null}
    </label>
  );
}

export function ParametersPanel({ conversation }: { conversation: Conversation }) {
  const w = words();
  const parameters = conversation.parameters.value;
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const pending = useRef<Parameters | null>(null);
  const flush = () => {
    clearTimeout(timer.current);
    const wanted = pending.current;
    pending.current = null;
    if (wanted) void attempt(() => conversation.setParameters(wanted));
  };
  useEffect(() => flush, [conversation]);
  const change = (next: Parameters) => {
    conversation.parameters.value = next;
    pending.current = next;
    clearTimeout(timer.current);
    timer.current = setTimeout(flush, 300);
  };
  const number = (field: NumberField) => (
    <NumberInput
      key={field.name}
      field={field}
      value={parameters[field.name]}
      onChange={(value) => {
        const now = conversation.parameters.value;
        change(value === undefined ? without(now, field.name) : { ...now, [field.name]: value });
      }}
    />
  );
  return (
    <div class="stack parameters">
      {conversation.mode.value === "chat" ? (
        <label class="field">
          <span>{w.systemPrompt}</span>
          <textarea
            rows={5}
            placeholder={w.systemPromptHint}
            value={parameters.system ?? ""}
            onInput={(e) => {
              const text = e.currentTarget.value;
              const now = conversation.parameters.value;
              change(text === "" ? without(now, "system") : { ...now, system: text });
            }}
          />
        </label>
      ) : null}
      <h3>{w.sampling}</h3>
      {sampling.map(number)}
      <h3>{w.limits}</h3>
      {limits.map(number)}
      <label class="field" title={w.parameterHelp.stop}>
        <span>{w.parameterNames.stop}</span>
        <textarea
          rows={2}
          placeholder={w.stopHint}
          value={(parameters.stop ?? []).join("\n")}
          onChange={(e) => {
            const stop = e.currentTarget.value.split("\n").filter((line) => line !== "");
            const now = conversation.parameters.value;
            change(stop.length === 0 ? without(now, "stop") : { ...now, stop });
          }}
        />
      </label>
      <button type="button" onClick={() => change(parameters.mode ? { mode: parameters.mode } : {})}>
        {w.resetParameters}
      </button>
      <h3>{w.display}</h3>
      <label class="check" title={w.probabilitiesHelp}>
        <input
          type="checkbox"
          checked={wantProbabilities.value === "yes"}
          onChange={(e) => (wantProbabilities.value = e.currentTarget.checked ? "yes" : "no")}
        />
        <span>{w.probabilities}</span>
      </label>
      <p class="faint">{w.probabilitiesHelp}</p>
    </div>
  );
}
