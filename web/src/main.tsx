// Where the page begins.
import { render } from "preact";
import { App } from "./components/app";
import { listenForKeys } from "./components/key_dialog";
import { refreshStatus } from "./state/server";
import { startSessions } from "./state/sessions";

listenForKeys();
startSessions();
render(<App />, document.getElementById("page")!);
void refreshStatus();
