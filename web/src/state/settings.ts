// What a person chose for this browser.
import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
export type Language = "en" | "zh";

function remembered<T extends string>(name: string, allowed: readonly T[], otherwise: T) {
  const found = localStorage.getItem(`tessera.${name}`) as T | null;
  const value = signal<T>(found !== null && allowed.includes(found) ? found : otherwise);
  let first = true;
  effect(() => {
    const now = value.value;
    if (!first) localStorage.setItem(`tessera.${name}`, now);
    first = false;
  });
  return value;
}

const browserLanguage: Language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";

export const language = remembered<Language>("language", ["en", "zh"], browserLanguage);
export const theme = remembered<Theme>("theme", ["system", "light", "dark"], "system");
// Whether new answers bring the probabilities of their tokens.
export const wantProbabilities = remembered<"yes" | "no">("probabilities", ["yes", "no"], "yes");
// The list of sessions. On a phone it covers the page, so there it begins closed, and what is done is not remembered.
const narrow = matchMedia("(max-width: 760px)");
const wideSidebar = remembered<"yes" | "no">("sidebar", ["yes", "no"], "yes");
export const sidebarOpen = signal<"yes" | "no">(narrow.matches ? "no" : wideSidebar.value);
narrow.addEventListener("change", () => (sidebarOpen.value = narrow.matches ? "no" : wideSidebar.peek()));
effect(() => {
  const now = sidebarOpen.value;
  if (!narrow.matches) wideSidebar.value = now;
});

effect(() => {
  document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
});
effect(() => {
  const root = document.documentElement;
  if (theme.value === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = theme.value;
});
