import { type Language, type Theme, language, theme } from "../state/settings";
import { server } from "../state/server";
import { words } from "../words/words";
import { Dialog } from "./dialog";
import { dialog } from "./view_state";

export function LanguageChoice() {
  return (
    <select aria-label={words().language} value={language.value} onChange={(e) => (language.value = e.currentTarget.value as Language)}>
      <option value="en">English</option>
      <option value="zh">中文</option>
    </select>
  );
}

export function ThemeChoice() {
  return (
    <select aria-label={words().theme} value={theme.value} onChange={(e) => (theme.value = e.currentTarget.value as Theme)}>
      <option value="system">{words().themeSystem}</option>
      <option value="light">{words().themeLight}</option>
      <option value="dark">{words().themeDark}</option>
    </select>
  );
}

export function HelpDialog() {
  const w = words();
  return (
    <Dialog title={w.help} onClose={() => (dialog.value = null)}>
      <p>{w.helpAbout}</p>
      <h3>{w.keyboard}</h3>
      <dl class="keys">
        {w.helpKeys.map(([key, what]) => (
          <div key={key}>
            <dt><kbd>{key}</kbd></dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="faint">
        Tessera {server.value?.version ?? ""} · <a href="/assets/licenses.txt" target="_blank" rel="noopener">{w.licences}</a> ·{" "}
        <a href="/openapi.json" target="_blank" rel="noopener">{w.apiDescription}</a>
      </p>
    </Dialog>
  );
}
