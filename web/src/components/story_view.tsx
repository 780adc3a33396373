// A story: the pieces of the branch as one flowing text. A piece that is chosen shows what may be done to it.
import { useState } from "preact/hooks";
import type { Message } from "../api/types";
import type { Conversation } from "../state/conversation";
import { attempt } from "../state/sessions";
import { words } from "../words/words";
import { Greeting, useDrawnCount, useFollow } from "./conversation_view";
import { IconButton } from "./icons";
import { LiveMeter } from "./meters";
import { Measures, UnsavedMessage, Versions, rollBack } from "./message_view";
import { TokenView } from "./token_view";
import { editing } from "./view_state";

function PieceActions(props: { conversation: Conversation; message: Message; tokens: boolean; onTokens?: () => void }) {
  const { conversation, message } = props;
  const w = words();
  const busy = conversation.live.value !== null;
  return (
    <span class="actions shown piece-actions">
      <Versions conversation={conversation} message={message} />
      {message.role === "assistant" ? (
        <IconButton icon="retry" label={w.regenerate} disabled={busy} onClick={() => void attempt(() => conversation.regenerate(message))} />
      ) : null}
      <IconButton icon="edit" label={w.edit} disabled={busy} onClick={() => (editing.value = message.id)} />
      {props.onTokens ? (
        <IconButton icon="tokens" label={w.showProbabilities} pressed={props.tokens} onClick={props.onTokens} />
      ) : null}
      <IconButton icon="undo" label={w.undo} disabled={busy} onClick={() => void rollBack(conversation, message.parent)} />
      {conversation.leaf.value === message.id ? null : (
        <IconButton icon="rollback" label={w.rollback} disabled={busy} onClick={() => void rollBack(conversation, message.id)} />
      )}
      {message.role === "assistant" ? <Measures conversation={conversation} message={message} /> : null}
    </span>
  );
}

function EditPiece({ conversation, message }: { conversation: Conversation; message: Message }) {
  const [text, setText] = useState(message.content);
  const w = words();
  const save = () => {
    editing.value = null;
    void attempt(() => conversation.storeVersion(message.parent, message.role, text));
  };
  return (
    <div class="edit-message">
      <textarea aria-label={w.edit} autofocus value={text} onInput={(e) => setText(e.currentTarget.value)} />
      <div class="row">
        <button type="button" class="primary" onClick={save}>{w.saveVersion}</button>
        <button type="button" onClick={() => (editing.value = null)}>{w.cancel}</button>
      </div>
    </div>
  );
}

function Piece(props: { conversation: Conversation; message: Message; chosen: boolean; onChoose(): void }) {
  const { conversation, message, chosen } = props;
  const [showTokens, setShowTokens] = useState(false);
  const tokens = conversation.tokens.get(message.id);
  const toggleTokens = () =>
    void attempt(async () => {
      await conversation.loadTokens(message);
      setShowTokens(!showTokens);
    });
  if (editing.value === message.id) return <EditPiece conversation={conversation} message={message} />;
  return (
    <>
      {showTokens && tokens ? (
        <TokenView
          tokens={tokens}
          whole={message.content}
          onBranch={(index, text) => void attempt(() => conversation.branchAtToken(message, index, text))}
        />
      ) : (
        <span
          id={`message-${message.id}`}
          class={`piece ${message.role} ${chosen ? "chosen" : ""}`}
          tabIndex={0}
          role="button"
          aria-expanded={chosen}
          onClick={() => {
            if (getSelection()?.isCollapsed ?? true) props.onChoose();
          }}
          onKeyDown={(e) => {
            if (e.key === "Enter" || e.key === " ") {
              e.preventDefault();
              props.onChoose();
            }
          }}
        >
          {message.content}
        </span>
      )}
      {chosen ? (
        <PieceActions
          conversation={conversation}
          message={message}
          tokens={showTokens}
          {...(conversation.hasProbabilities(message) ? { onTokens: toggleTokens } : {})}
        />
      ) : null}
    </>
  );
}

export function StoryView({ conversation }: { conversation: Conversation }) {
  const w = words();
  const live = conversation.live.value;
  const path = conversation.path.value;
  const [chosen, setChosen] = useState<number | null>(null);
  const { scroller, content, away, toEnd } = useFollow(conversation);
  const shown = live && live.prefix !== "" ? path.slice(0, -1) : path;
  const count = useDrawnCount(shown.length, conversation);
  const last = path[path.length - 1];
  // The newest piece is the one somebody wants to do something about.
  const open = live ? null : chosen !== null && path.some(({ id }) => id === chosen) ? chosen : (last?.id ?? null);
  return (
    <div class="scroller" ref={scroller}>
      <div class="story" ref={content} role="log" aria-live="off" aria-label={w.story}>
        {path.length === 0 && !live ? <Greeting text={w.greetingStory} /> : null}
        <div class="prose" dir="auto">
          {shown.slice(-count).map((message) => (
            <Piece
              key={message.id}
              conversation={conversation}
              message={message}
              chosen={message.id === open}
              onChoose={() => setChosen(message.id)}
            />
          ))}
          {live?.question && live.parent.value === (last?.id ?? null) && last?.content !== live.question ? (
            <span class="piece user pending">{live.question}</span>
          ) : null}
          {live ? (
            <>
              <span class="piece assistant live" aria-busy="true">{live.text.value}</span>
              <span class="caret" aria-hidden="true" />
            </>
          ) : null}
        </div>
        {live ? (
          <div class="actions shown">
            <LiveMeter live={live} />
          </div>
        ) : null}
        <UnsavedMessage conversation={conversation} />
      </div>
      {away ? <IconButton icon="down" label={w.scrollDown} class="to-end" onClick={toEnd} /> : null}
    </div>
  );
}
