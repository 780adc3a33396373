// Small drawings, 20 by 20, in the colour of the text beside them.
const paths = {
  archive: "M3 4h14v3H3zM4.5 7v9h11V7M8 10.5h4",
  attach: "M14.5 9.5 9 15a3.2 3.2 0 0 1-4.500-4.500l6.500-6.500a2.200 2.200 0 0 1 3.100 3.100l-6.300 6.300a1.100 1.100 0 0 1-1.600-1.600L11.500 6.500",
  branch: "M6 6.500v7M6 13.500a1.800 1.800 0 1 0 0 .01M6 4.500a1.800 1.800 0 1 0 0 .01M14 6.500a1.800 1.800 0 1 0 0 .01M14 8.300c0 3-4 2.700-7 3.700",
  check: "m4 10.500 4 4 8-9",
  close: "m5 5 10 10M15 5 5 15",
  copy: "M7.500 7.500h8v8h-8zM12.500 7.500v-3h-8v8h3",
  down: "M10 4v12M5 11l5 5 5-5",
  download: "M10 3v9M6 8.500l4 4 4-4M4 16h12",
  edit: "m4 16 .8-3.500L13.500 3.800l2.700 2.700-8.700 8.700zM12 5.300 14.700 8",
  help: "M7.500 7.500a2.500 2.500 0 1 1 3.600 2.200c-.8.4-1.100.9-1.100 1.800M10 14.500v.01",
  menu: "M3 5.500h14M3 10h14M3 14.500h14",
  more: "M5 10v.01M10 10v.01M15 10v.01",
  next: "m8 5 5 5-5 5",
  panel: "M3 4h14v12H3zM12.500 4v12",
  plus: "M10 4v12M4 10h12",
  previous: "m12 5-5 5 5 5",
  retry: "M15.500 8A6 6 0 1 0 16 11M16 4v4h-4",
  rollback: "M8 5 4 9l4 4M4 9h7a4.500 4.500 0 0 1 0 9H8",
  search: "M9 4.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9M12.300 12.300 16.500 16.500",
  send: "M10 16V4M5 9l5-5 5 5",
  sliders: "M4 6h6M14 6h2M4 14h2M10 14h6M12 4v4M8 12v4",
  stop: "M6 6h8v8H6z",
  tokens: "M3 5.500h6M11 5.500h6M3 10h3M8 10h9M3 14.500h8M13 14.500h4",
  trash: "M4 6h12M8 6V4h4v2M5.500 6l.7 10h7.600l.7-10",
  undo: "M7.500 4 4 7.500 7.500 11M4 7.500h8a4 4 0 0 1 0 8H8",
  upload: "M10 12V3M6 6.500l4-4 4 4M4 16h12",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}

export function IconButton(props: {
  icon: IconName;
  label: string;
  onClick(): void;
  pressed?: boolean;
  expanded?: boolean;
  disabled?: boolean;
  class?: string;
}) {
  return (
    <button
      type="button"
      class={`icon-button ${props.class ?? ""}`}
      title={props.label}
      aria-label={props.label}
      aria-pressed={props.pressed}
      aria-expanded={props.expanded}
      disabled={props.disabled ?? false}
      onClick={props.onClick}
    >
      <Icon name={props.icon} />
    </button>
  );
}

// Four tiles: the mark of the house.
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 16 16" width="26" height="26" aria-hidden="true">
      <rect class="tile-a" x="1" y="1" width="6.4" height="6.4" rx="1.4" />
      <rect class="tile-b" x="8.6" y="1" width="6.4" height="6.4" rx="1.4" />
      <rect class="tile-c" x="1" y="8.6" width="6.4" height="6.4" rx="1.4" />
      <rect class="tile-d" x="8.6" y="8.6" width="6.4" height="6.4" rx="1.4" />
    </svg>
  );
}
