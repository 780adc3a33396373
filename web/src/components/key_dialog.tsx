// Asks for an API key when the server wants one.
import { useState } from "preact/hooks";
import { onKeyNeeded, storeKey } from "../api/client";
import { words } from "../words/words";
import { Dialog } from "./dialog";
import { dialog } from "./view_state";

let answered: (() => void) | null = null;
let wasRefused = false;

export function listenForKeys(): void {
  onKeyNeeded((refused) => {
    wasRefused = refused;
    dialog.value = "key";
    return new Promise((resolve) => {
      answered = resolve;
    });
  });
}

export function KeyDialog() {
  const [key, setKey] = useState("");
  const [remember, setRemember] = useState(false);
  const submit = (event: Event) => {
    event.preventDefault();
    if (key.trim() === "") return;
    storeKey(key.trim(), remember);
    dialog.value = null;
    answered?.();
    answered = null;
  };
  return (
    <Dialog title={words().keyTitle}>
      <form onSubmit={submit} class="stack">
        <p>{wasRefused ? words().keyRefused : words().keyText}</p>
        <label class="field">
          <span>{words().apiKey}</span>
          <input type="password" autocomplete="current-password" autofocus value={key} onInput={(e) => setKey(e.currentTarget.value)} />
        </label>
        <label class="check">
          <input type="checkbox" checked={remember} onChange={(e) => setRemember(e.currentTarget.checked)} />
          <span>{words().rememberKey}</span>
        </label>
        <button type="submit" class="primary">{words().useKey}</button>
      </form>
    </Dialog>
  );
}
