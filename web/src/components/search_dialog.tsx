// Search over every session: type, choose with the arrow keys, Enter opens it where the words stand.
import { useEffect, useRef, useState } from "preact/hooks";
import { api } from "../api/client";
import type { SearchHit } from "../api/types";
import { attempt, current, openSession } from "../state/sessions";
import { timeOf, words } from "../words/words";
import { Dialog } from "./dialog";
import { dialog } from "./view_state";

// The snippet with its highlights, which count characters, not UTF-16 units.
function Snippet({ hit }: { hit: SearchHit }) {
  const characters = [...hit.snippet];
  const parts = [];
  let at = 0;
  for (const [begin, end] of hit.highlights) {
    parts.push(characters.slice(at, begin).join(""), <mark key={begin}>{characters.slice(begin, end).join("")}</mark>);
    at = end;
  }
  parts.push(characters.slice(at).join(""));
  return <span class="snippet">{parts}</span>;
}

async function openHit(hit: SearchHit): Promise<void> {
  dialog.value = null;
  await attempt(async () => {
    await openSession(hit.session);
    if (hit.message !== null && !current.value.path.value.some(({ id }) => id === hit.message)) {
      await current.value.switchTo(hit.message);
    }
  });
  requestAnimationFrame(() => {
    const found = document.getElementById(`message-${hit.message}`);
    found?.scrollIntoView({ block: "center" });
    found?.classList.add("found");
  });
}

export function SearchDialog() {
  const [text, setText] = useState("");
  const [hits, setHits] = useState<readonly SearchHit[] | null>(null);
  const [chosen, setChosen] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    if (text.trim() === "") {
      setHits(null);
      return undefined;
    }
    let gone = false;
    const timer = setTimeout(() => {
      void attempt(() => api.search(text.trim())).then((found) => {
        if (gone || !found) return;
        setHits(found.hits);
        setChosen(0);
      });
    }, 120);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [text]);
  useEffect(() => list.current?.children[chosen]?.scrollIntoView({ block: "nearest" }), [chosen]);
  const keys = (event: KeyboardEvent) => {
    const count = hits?.length ?? 0;
    if (count === 0 || event.isComposing) return;
    if (event.key === "ArrowDown") setChosen((chosen + 1) % count);
    else if (event.key === "ArrowUp") setChosen((chosen + count - 1) % count);
    else if (event.key === "Enter") void openHit(hits![chosen]!);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title={words().searchSessions} class="search" onClose={() => (dialog.value = null)}>
      <input
        type="text"
        autofocus
        list={undefined}
        role="combobox"
        aria-expanded={hits !== null}
        aria-controls="search-hits"
        aria-activedescendant={hits?.length ? `hit-${chosen}` : undefined}
        placeholder={words().searchHint}
        aria-label={words().searchHint}
        value={text}
        onInput={(e) => setText(e.currentTarget.value)}
        onKeyDown={keys}
      />
      <ul id="search-hits" role="listbox" aria-label={words().search} ref={list}>
        {hits?.map((hit, index) => (
          <li key={index} id={`hit-${index}`} role="option" aria-selected={index === chosen} onClick={() => void openHit(hit)}>
            <span class="hit-title">
              <bdi>{hit.title || words().untitled}</bdi>
              <small>{timeOf(hit.created_at)}</small>
            </span>
            <Snippet hit={hit} />
          </li>
        ))}
      </ul>
      {hits?.length === 0 ? <p class="faint" role="status">{words().noHits}</p> : null}
    </Dialog>
  );
}
