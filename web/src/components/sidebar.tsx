// The sessions: newest first, by day; new ones; search; what may be done to each.
import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "../api/client";
import type { Session } from "../api/types";
import {
  attempt, current, exportSession, importFile, listLoaded, loadMore, moreAfter, openSession, remove, rename, saveFile,
  sessions, setArchived, showArchive, showArchived, startNew,
} from "../state/sessions";
import { sidebarOpen } from "../state/settings";
import { words } from "../words/words";
import { LanguageChoice, ThemeChoice } from "./help_dialog";
import { Icon, IconButton, Mark } from "./icons";
import { Menu } from "./menu";
import { ask, dialog, isPhone } from "./view_state";

const closeOnPhone = () => {
  if (isPhone()) sidebarOpen.value = "no";
};

function dayOf(session: Session): string {
  const days = (new Date().setHours(24, 0, 0, 0) - session.updated_at) / 86_400_000;
  const w = words();
  return days <= 1 ? w.today : days <= 2 ? w.yesterday : days <= 7 ? w.thisWeek : w.older;
}

export function sessionEntries(session: Session, startRename: () => void) {
  const w = words();
  return [
    { label: w.rename, icon: "edit" as const, run: startRename },
    { label: w.exportMarkdown, icon: "download" as const, run: () => void attempt(() => exportSession(session, "markdown")) },
    { label: w.exportJson, icon: "download" as const, run: () => void attempt(() => exportSession(session, "json")) },
    {
      label: session.archived ? w.unarchive : w.archive,
      icon: "archive" as const,
      run: () => void attempt(() => setArchived(session, !session.archived)),
    },
    {
      label: w.delete,
      icon: "trash" as const,
      dangerous: true,
      run: () => ask(w.deleteSession(session.title || w.untitled), w.delete, () => void attempt(() => remove(session))),
    },
  ];
}

function SessionItem({ session }: { session: Session }) {
  const [renaming, setRenaming] = useState(false);
  const active = current.value.session.value?.id === session.id;
  const title = session.title || words().untitled;
  if (renaming) {
    const finish = (text: string) => {
      setRenaming(false);
      if (text.trim() !== "" && text.trim() !== session.title) void attempt(() => rename(session, text.trim()));
    };
    return (
      <li class="session">
        <input
          class="rename"
          aria-label={words().title}
          autofocus
          ref={(element) => element?.focus()}
          defaultValue={session.title}
          onBlur={(e) => finish(e.currentTarget.value)}
          onKeyDown={(e) => {
            if (e.key === "Enter" && !e.isComposing) e.currentTarget.blur();
            if (e.key === "Escape") {
              setRenaming(false);
              e.stopPropagation();
            }
          }}
        />
      </li>
    );
  }
  return (
    <li class={`session ${active ? "active" : ""}`}>
      <a
        href={`#/${session.id}`}
        aria-current={active ? "page" : undefined}
        title={title}
        onDblClick={() => setRenaming(true)}
        onClick={(event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          closeOnPhone();
          void attempt(() => openSession(session.id));
        }}
      >
        <span class={`kind ${session.parameters.mode === "story" ? "kind-story" : ""}`} aria-hidden="true" />
        <bdi class="session-title">{title}</bdi>
      </a>
      <Menu label={`${words().more}: ${title}`} entries={sessionEntries(session, () => setRenaming(true))} />
    </li>
  );
}

function SessionList() {
  const end = useRef<HTMLButtonElement>(null);
  const after = moreAfter.value;
  useEffect(() => {
    const list = end.current?.closest(".session-list");
    if (!list) return undefined;
    const fill = () => {
      const near = list.scrollHeight - list.scrollTop - list.clientHeight < 400;
      if (near) void loadMore().catch(() => undefined);
    };
    fill();
    list.addEventListener("scroll", fill, { passive: true });
    return () => list.removeEventListener("scroll", fill);
  }, [after, sessions.value]);
  const groups: { day: string; list: Session[] }[] = [];
  for (const session of sessions.value) {
    const day = dayOf(session);
    const last = groups[groups.length - 1];
    if (last?.day === day) last.list.push(session);
    else groups.push({ day, list: [session] });
  }
  return (
    <div class="session-list">
      {groups.map(({ day, list }) => (
        <section key={day}>
          <h3>{day}</h3>
          <ul>{list.map((session) => <SessionItem key={session.id} session={session} />)}</ul>
        </section>
      ))}
      {listLoaded.value && sessions.value.length === 0 ? (
        <p class="faint">{showArchived.value ? words().noArchived : words().noSessions}</p>
      ) : null}
      {after === null ? null : (
        <button ref={end} type="button" class="quiet" onClick={() => void attempt(loadMore)}>
          {words().showMore}
        </button>
      )}
    </div>
  );
}

export function Sidebar() {
  const w = words();
  const file = useRef<HTMLInputElement>(null);
  return (
    <nav class="sidebar" aria-label={w.sessions}>
      <div class="brand">
        <Mark />
        <span>Tessera</span>
        <IconButton icon="close" label={w.close} class="only-phone" onClick={() => (sidebarOpen.value = "no")} />
      </div>
      <div class="new-buttons">
        <button type="button" class="new-button" onClick={() => (startNew("chat"), closeOnPhone())}>
          <Icon name="plus" /> {w.chat}
          <span class="off-screen">: {w.newChat}</span>
        </button>
        <button type="button" class="new-button" onClick={() => (startNew("story"), closeOnPhone())}>
          <Icon name="plus" /> {w.story}
          <span class="off-screen">: {w.newStory}</span>
        </button>
      </div>
      <button type="button" class="search-button" onClick={() => (dialog.value = "search")}>
        <Icon name="search" /> {w.search} <kbd>Ctrl K</kbd>
      </button>
      <SessionList />
      <div class="sidebar-foot">
        <div class="row">
          <button type="button" class="quiet" onClick={() => void attempt(() => showArchive(!showArchived.value))}>
            <Icon name={showArchived.value ? "previous" : "archive"} />
            {showArchived.value ? w.backToSessions : w.archived}
          </button>
          <span class="spring" />
          <IconButton icon="upload" label={w.import} onClick={() => file.current?.click()} />
          <IconButton
            icon="download"
            label={w.exportAll}
            onClick={() => void attempt(async () => saveFile(await api.exportAll(), "tessera-sessions.json"))}
          />
          <IconButton icon="help" label={w.help} onClick={() => (dialog.value = "help")} />
          <input
            ref={file}
            type="file"
            accept=".json,application/json"
            hidden
            onChange={(e) => {
              const chosen = e.currentTarget.files?.[0];
              e.currentTarget.value = "";
              if (chosen) void attempt(() => importFile(chosen));
            }}
          />
        </div>
        <div class="row choices">
          <LanguageChoice />
          <ThemeChoice />
        </div>
      </div>
    </nav>
  );
}
