// Runs before the first paint: the colours that were chosen, so that the page does not flash in the others.
const theme = localStorage.getItem("tessera.theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset["theme"] = theme;
export {};
