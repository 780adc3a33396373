// The page: sessions to the left, the conversation in the middle, parameters or branches to the right.
import { useEffect, useState } from "preact/hooks";
import { current, attempt, setArchived, startNew } from "../state/sessions";
import type { Conversation } from "../state/conversation";
import { reachable, server } from "../state/server";
import { sidebarOpen } from "../state/settings";
import { dismiss, toasts } from "../state/toasts";
import { bytes, seconds, shortNumber, words } from "../words/words";
import { Composer, undoTurn } from "./composer";
import { ConversationView } from "./conversation_view";
import { Dialog } from "./dialog";
import { HelpDialog } from "./help_dialog";
import { IconButton, Mark } from "./icons";
import { KeyDialog } from "./key_dialog";
import { Menu } from "./menu";
import { ParametersPanel } from "./parameters_panel";
import { SearchDialog } from "./search_dialog";
import { Sidebar, sessionEntries } from "./sidebar";
import { StoryView } from "./story_view";
import { TreeView } from "./tree_view";
import { dialog, editing, isPhone, panel, question, spoken } from "./view_state";

function ModeSwitch({ conversation }: { conversation: Conversation }) {
  const w = words();
  const mode = conversation.mode.value;
  const choose = (next: "chat" | "story") => {
    if (next === mode) return;
    // A conversation has its form; the other one begins anew.
    if (conversation.path.value.length > 0) startNew(next);
    else void attempt(() => conversation.setParameters({ ...conversation.parameters.value, mode: next }));
  };
  const chatPossible = server.value?.model?.chat ?? true;
  return (
    <div class="mode-switch" role="group" aria-label={`${w.chat} / ${w.story}`}>
      <button type="button" aria-pressed={mode === "chat"} disabled={!chatPossible} onClick={() => choose("chat")}>
        {w.chat}
      </button>
      <button type="button" aria-pressed={mode === "story"} onClick={() => choose("story")}>
        {w.story}
      </button>
    </div>
  );
}

function Title({ conversation }: { conversation: Conversation }) {
  const [changing, setChanging] = useState(false);
  const session = conversation.session.value;
  if (!session) return <span class="title faint">{server.value?.model?.name ?? ""}</span>;
  if (!changing) {
    return (
      <button type="button" class="title" title={words().rename} onClick={() => setChanging(true)}>
        <bdi>{session.title || words().untitled}</bdi>
      </button>
    );
  }
  return (
    <input
      class="rename title"
      aria-label={words().title}
      defaultValue={session.title}
      ref={(element) => element?.focus()}
      onBlur={(e) => {
        const text = e.currentTarget.value.trim();
        setChanging(false);
        if (text !== "" && text !== session.title) void attempt(() => conversation.rename(text));
      }}
      onKeyDown={(e) => {
        if (e.key === "Enter" && !e.isComposing) e.currentTarget.blur();
        if (e.key === "Escape") setChanging(false);
      }}
    />
  );
}

function Header({ conversation }: { conversation: Conversation }) {
  const w = words();
  const toggle = (name: "parameters" | "tree") => (panel.value = panel.value === name ? null : name);
  const session = conversation.session.value;
  return (
    <header class="page-header">
      <IconButton
        icon="menu"
        label={w.menu}
        expanded={sidebarOpen.value === "yes"}
        onClick={() => (sidebarOpen.value = sidebarOpen.value === "yes" ? "no" : "yes")}
      />
      <ModeSwitch conversation={conversation} />
      <Title conversation={conversation} />
      <IconButton icon="branch" label={w.tree} pressed={panel.value === "tree"} onClick={() => toggle("tree")} />
      <IconButton icon="sliders" label={w.parameters} pressed={panel.value === "parameters"} onClick={() => toggle("parameters")} />
      {session ? (
        <Menu
          label={w.more}
          entries={sessionEntries(session, () => document.querySelector<HTMLElement>("button.title")?.click())}
        />
      ) : null}
    </header>
  );
}

function Loading() {
  const w = words();
  const { progress, error, model } = server.value ?? {};
  if (error) {
    return (
      <div class="loading" role="alert">
        <Mark />
        <h2>{w.loadFailed}</h2>
        <p>{error}</p>
      </div>
    );
  }
  const share = progress && progress.total > 0 ? progress.done / progress.total : null;
  return (
    <div class="loading" role="status">
      <Mark />
      <h2>{w.loadingModel}</h2>
      <progress max={1} aria-label={w.loadingModel} {...(share === null ? {} : { value: share })} />
      {progress ? (
        <p class="faint">
          {w.stages[progress.stage] ?? progress.stage} {bytes(progress.done)} / {bytes(progress.total)}
          {progress.bytes_per_second ? ` · ${bytes(progress.bytes_per_second)}/s` : ""}
          {progress.seconds_left ? ` · ${w.secondsLeft(seconds(progress.seconds_left))}` : ""}
        </p>
      ) : (
        <p class="faint">{model?.name ?? ""}</p>
      )}
    </div>
  );
}

function SidePanel({ conversation }: { conversation: Conversation }) {
  const which = panel.value;
  const w = words();
  if (!which) return null;
  return (
    <aside class="side-panel" aria-label={which === "tree" ? w.tree : w.parameters}>
      <header>
        <h2>{which === "tree" ? w.tree : w.parameters}</h2>
        <IconButton icon="close" label={w.close} onClick={() => (panel.value = null)} />
      </header>
      <div class="panel-content">
        {which === "tree" ? <TreeView conversation={conversation} /> : <ParametersPanel conversation={conversation} />}
      </div>
    </aside>
  );
}

function Dialogs() {
  const asked = question.value;
  const close = () => (question.value = null);
  return (
    <>
      {dialog.value === "search" ? <SearchDialog /> : null}
      {dialog.value === "help" ? <HelpDialog /> : null}
      {dialog.value === "key" ? <KeyDialog /> : null}
      {asked ? (
        <Dialog title={asked.button} onClose={close}>
          <p>{asked.text}</p>
          <div class="row end">
            <button type="button" onClick={close}>
              {words().cancel}
            </button>
            <button
              type="button"
              class="primary dangerous"
              autofocus
              onClick={() => {
                close();
                asked.run();
              }}
            >
              {asked.button}
            </button>
          </div>
        </Dialog>
      ) : null}
    </>
  );
}

function Toasts() {
  return (
    <div class="toasts" aria-live="polite">
      {toasts.value.map((toast) => (
        <div key={toast.id} class={`toast ${toast.kind}`} role={toast.kind === "error" ? "alert" : "status"}>
          <span>{toast.text}</span>
          {toast.action ? (
            <button
              type="button"
              class="quiet"
              onClick={() => {
                dismiss(toast.id);
                toast.action?.run();
              }}
            >
              {toast.action.label}
            </button>
          ) : null}
          <IconButton icon="close" label={words().close} onClick={() => dismiss(toast.id)} />
        </div>
      ))}
    </div>
  );
}

// What is being done is told once at its beginning and once at its end, not word by word.
function useSpokenState(conversation: Conversation): void {
  const busy = conversation.live.value !== null;
  const [was, setWas] = useState(false);
  useEffect(() => {
    if (busy === was) return;
    setWas(busy);
    const last = conversation.path.value.at(-1);
    spoken.value = busy ? words().answering : words().answered(last?.completion_tokens ?? 0);
  }, [busy, was, conversation]);
}

function inField(event: KeyboardEvent): boolean {
  return event.target instanceof HTMLElement && event.target.matches("input, textarea, select, [role=tree] *");
}

function onKey(event: KeyboardEvent): void {
  const conversation = current.value;
  const control = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  if (dialog.value === "key") return;
  if (event.key === "Escape") {
    if (dialog.value || question.value) return; // the dialog hears it itself
    if (conversation.live.value) conversation.stop();
    else if (editing.value !== null) editing.value = null;
    else if (panel.value) panel.value = null;
    else if (isPhone()) sidebarOpen.value = "no";
    return;
  }
  if (control && !event.shiftKey && key === "k") dialog.value = dialog.value === "search" ? null : "search";
  else if (control && event.shiftKey && key === "o") startNew("chat");
  else if (control && event.shiftKey && key === "z") void undoTurn(conversation);
  else if (control && key === "b") sidebarOpen.value = sidebarOpen.value === "yes" ? "no" : "yes";
  else if (control && key === ".") panel.value = panel.value === "parameters" ? null : "parameters";
  else if (control && key === ",") panel.value = panel.value === "tree" ? null : "tree";
  else if (key === "?" && !inField(event)) dialog.value = "help";
  else return;
  event.preventDefault();
}

export function App() {
  const conversation = current.value;
  useSpokenState(conversation);
  useEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  const title = conversation.session.value?.title;
  useEffect(() => {
    document.title = title ? `${title} · Tessera` : "Tessera";
  }, [title]);
  const w = words();
  const status = server.value;
  const ready = status?.ready ?? true;
  const { model } = status ?? {};
  const storyOnly = model && !model.chat && conversation.mode.value === "chat" && conversation.path.value.length === 0;
  useEffect(() => {
    if (storyOnly) startNew("story");
  }, [storyOnly]);
  return (
    <div class={`layout ${sidebarOpen.value === "yes" ? "with-sidebar" : ""} ${panel.value ? "with-panel" : ""}`}>
      {sidebarOpen.value === "yes" ? <Sidebar /> : null}
      {sidebarOpen.value === "yes" ? <div class="shade only-phone" onClick={() => (sidebarOpen.value = "no")} /> : null}
      <main>
        <Header conversation={conversation} />
        {reachable.value ? null : (
          <p class="banner" role="alert">
            {w.serverAwayLong}
          </p>
        )}
        {conversation.session.value?.archived ? (
          <p class="banner calm">
            {w.archived}{" "}
            <button type="button" class="quiet" onClick={() => void attempt(() => setArchived(conversation.session.value!, false))}>
              {w.unarchive}
            </button>
          </p>
        ) : null}
        {ready || conversation.path.value.length > 0 ? (
          conversation.mode.value === "story" ? (
            <StoryView key={`story-${conversation.key}`} conversation={conversation} />
          ) : (
            <ConversationView key={`chat-${conversation.key}`} conversation={conversation} />
          )
        ) : (
          <Loading />
        )}
        <div class="foot">
          <Composer key={conversation.key} conversation={conversation} />
          <p class="foot-line faint">
            {model ? `${model.name} · ${w.parameterCount(shortNumber(model.parameters))}` : ""}
            {model && !model.chat ? ` · ${w.storyOnly}` : ""}
          </p>
        </div>
      </main>
      <SidePanel conversation={conversation} />
      <Dialogs />
      <Toasts />
      <div class="off-screen" role="status" aria-live="polite">
        {spoken.value}
      </div>
    </div>
  );
}
