"""Snippets of Jinja, one per rule: every filter, test, method, operator and whitespace rule at least once."""

import re

CONTEXT = {
    "n": 5, "zero": 0, "neg": -7, "big": 9007199254740993, "f": 2.5, "half": 0.5, "t": True, "no": False, "nil": None,
    "s": "Hello World", "empty": "", "uni": "Größe 東京 😀 ǅ ﬁ", "quote": "it's \"x\" \\ \n\t\x01\x7f\u00a0\u200b",
    "lines": "one\ntwo\r\nthree\n\nfive", "spaced": "  \t mid dle \n ", "html": "<b class=\"x\">A & B's</b>",
    "list": [3, 1, 2], "words": ["banana", "Apple", "cherry", "apple"], "nested": [[1, [2, 3]], {"a": (1)}], "mixed": [1, "1", None, True, 1.0, [], {}],
    "d": {"b": 1, "a": 2, "C": 3}, "items_key": {"items": 7, "keys": 8, "x y": 9, "get": 1},
    "users": [{"name": "Zoe", "age": 30, "tags": ["x"], "a": {"b": 2}}, {"name": "adam", "age": 25, "tags": [], "a": {"b": 1}}, {"name": "Bob", "age": 30, "a": {"b": 3}}],
    "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}, {"v": 5, "c": []}],
    "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}, {"role": "user", "content": ""}],
    "bos_token": "<s>", "eos_token": "</s>",
}

SOURCES = r"""
plain text
{{ s }}
{{ missing }}|{{ missing.x }}
{{ missing }}|{{ missing is defined }}
{{ d.missing }}|{{ d.missing.x }}
{{ none }} {{ None }} {{ true }} {{ True }} {{ false }} {{ False }}
{{ nil }} {{ nil.foo }} {{ nil['foo'] }}
{{ 1 }} {{ 1_000 }} {{ 0x1F }} {{ 0o17 }} {{ 0b101 }} {{ 0 }} {{ 00 }}
{{ 1.5 }} {{ 1e3 }} {{ 1.5e-7 }} {{ 1_0.2_5 }} {{ 1e16 }} {{ 1e15 }} {{ 123456789012345680.0 }} {{ 0.0001 }} {{ 0.00001 }}
{{ 'a' 'b' "c" }}
{{ 'x\ny\t\x41\u00e9\U0001F600\'\"\\ \d \101' }}
{{ '\é' }}
{{ "a\
b" }}
{{ [1, 'a', 1.0, none, true, [2], {'k': 'v'}, (1,), ()] }}
{{ (1, 2) }} {{ (1,) }} {{ () }} {{ 1, 2 }}
{{ {'a': 1, 2: 'b', none: true, 1.5: [], (1, 2): 3} }}
{{ {'a': 1, 'b': 2, 'a': 3} }} {{ {1: 'a', 1.0: 'b', true: 'c'} }}
{{ quote }} {{ [quote] }}
{{ uni }} {{ [uni] }}
{{ ["it's", 'say "x"', 'both \' "'] }}
{{ 1 + 2 }} {{ 5 - 7 }} {{ 3 * 4 }} {{ 7 / 2 }} {{ 8 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }}
{{ 7.5 // 2 }} {{ -7.5 // 2 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }} {{ 2.0 ** 0.5 }} {{ -2 ** 2 }} {{ (-2) ** 2 }} {{ 1.0 * 3 }} {{ 0.1 + 0.2 }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 1.0 / 0 }}
{{ true + true }} {{ true * 3 }} {{ -true }} {{ +true }} {{ not true }} {{ true / 2 }}
{{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ 'a' * -1 }}| {{ [1] + [2] }} {{ [1, 2] * 2 }} {{ (1,) + (2,) }} {{ (0,) * 3 }}
{{ 'a' + 1 }}
{{ 1 + 'a' }}
{{ [1] + (2,) }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1] ~ missing }}
{{ 1 ~ 2 + 3 }} {{ 1 + 2 ~ 3 }} {{ 2 * 3 ~ 4 }}
{{ missing + 1 }}
{{ missing ~ 'x' }}
{{ -missing }}
{{ -s }}
{{ n == 5 }} {{ n != 5 }} {{ n < 6 }} {{ n <= 5 }} {{ n > 5 }} {{ n >= 5 }} {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ '1' == 1 }}
{{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ (1,) < (1, 2) }} {{ 'Z' < 'a' }} {{ [1] == [1.0] }} {{ {'a': 1} == {'a': 1.0} }} {{ [1] == (1,) }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ missing == missing2 }} {{ missing == none }} {{ missing == '' }} {{ missing != 1 }}
{{ missing < 1 }}
{{ 'ell' in s }} {{ 'x' in s }} {{ 3 in list }} {{ 'a' in d }} {{ 1 in d }} {{ 'a' not in d }} {{ 2 in (1, 2) }} {{ 1 in missing }} {{ '' in 'abc' }}
{{ 1 in 'abc' }}
{{ 1 in 5 }}
{{ 1 and 2 }} {{ 0 and 2 }} {{ 0 or 'x' }} {{ '' or none }} {{ not 0 }} {{ not 'a' and 1 }} {{ 1 or missing.x }} {{ [] or {} or 'last' }}
{{ 'yes' if t else 'no' }} {{ 'yes' if no else 'no' }} {{ 'yes' if no }}| {{ ('a' if no) is defined }} {{ 1 if 0 else 2 if 0 else 3 }}
{{ s[0] }} {{ s[-1] }} {{ s[100] }}| {{ list[0] }} {{ list[-1] }} {{ list[9] }}| {{ d['a'] }} {{ d.a }} {{ d['zz'] }}| {{ list.0 }} {{ nested.0.1.0 }}
{{ s[1:4] }} {{ s[:3] }} {{ s[3:] }} {{ s[-3:] }} {{ s[::2] }} {{ s[::-1] }} {{ s[8:2:-2] }} {{ s[100:] }}| {{ s[:] }} {{ list[1:] }} {{ list[::-1] }} {{ (1, 2, 3)[:2] }} {{ s[-100:2] }}
{{ uni[2:5] }} {{ uni[::-1] }} {{ uni[7] }} {{ uni|length }}
{{ s[::0] }}
{{ list['a':] }}
{{ n[1:] }}
{{ missing[1:] }}
{{ range(10)[2:8:3] }} {{ range(3) }} {{ range(1, 10, 2) }} {{ range(5)[-1] }} {{ range(5)[9] }}| {{ range(0) }} {{ range(5)|list }} {{ range(5, 0, -2)|list }} {{ range(3)|length }} {{ 2 in range(3) }}
{{ range(100001) }}
{{ range(1, 2, 0) }}
{{ range(2.5) }}
{{ nested }} {{ nested[0][1][1] }} {{ users[0].name }} {{ users[0]['tags'][0] }} {{ users[2].tags }}| {{ users[0].a.b }}
{{ items_key.items }}
{{ items_key['items'] }} {{ items_key['get'] }} {{ items_key['x y'] }} {{ items_key.get('items') }}
{{ d.items() }} {{ d.keys() }} {{ d.values() }} {{ d.items()|list }} {{ d|list }}
{{ d.keys()|length }} {{ d.keys()|first }} {{ d.values()|last }} {{ d.items()|sort }} {{ d.values()|sum }} {{ d.keys()|join(',') }}
{{ d.get('a') }} {{ d.get('z') }} {{ d.get('z', 'dflt') }} {{ d.get('z', default=1) }}
{{ d.copy() }} {{ d|length }} {{ d|first }} {{ d|last }} {{ d|join }} {{ d|reverse|list }}
{{ d.update({'x': 1}) }}
{{ d.pop('a') }}
{{ d.setdefault('a', 1) }}
{{ list.append(4) }}
{{ list.sort() }}
{{ list.pop is defined }} {{ list.append }}| {{ list.__class__ }}| {{ d.clear }}|
{{ list.__class__.__name__ }}
{{ s.__class__ }}| {{ s._private }}| {{ d._private }}|
{{ list.index(1) }} {{ list.count(3) }} {{ (1, 2, 1).count(1) }} {{ (1, 2).index(2) }} {{ list.copy() }} {{ list.index(3, 0) }}
{{ list.index(99) }}
{{ list.nope() }}
{{ s() }}
{{ missing() }}
{{ s.upper() }} {{ s.lower() }} {{ s.title() }} {{ s.capitalize() }} {{ s.swapcase() }} {{ 'ǆ ﬁ ß İ ΑΣ'.upper() }} {{ 'ΑΣ ΣΑ İ'.lower() }} {{ 'ﬁ ǆ'.title() }} {{ 'ﬁx'.capitalize() }} {{ 'Straße'.casefold() }}
{{ "it's o'neil x2y".title() }} {{ "it's o'neil x2y-foo (bar) [baz] <q>"|title }}
{{ s.startswith('He') }} {{ s.endswith('ld') }} {{ s.startswith(('x', 'H')) }} {{ s.startswith('l', 2) }} {{ s.endswith('o', 0, 5) }} {{ s.startswith('') }} {{ s.startswith('', 99) }}
{{ s.startswith(1) }}
{{ '[' ~ spaced.strip() ~ ']' }} {{ '[' ~ spaced.lstrip() ~ ']' }} {{ '[' ~ spaced.rstrip() ~ ']' }} {{ 'xxaxx'.strip('x') }} {{ 'abcxcba'.lstrip('ba') }} {{ 'abcxcba'.rstrip('ab') }} {{ 'aéa'.strip('éa') }}|{{ ' x '.strip(none) }}|{{ ' x '.strip('') }}|
{{ 'a,b,,c'.split(',') }} {{ ' a  b c '.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a b c d'.split(none, 2) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ 'a b c d '.rsplit(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'abc'.split(maxsplit=1) }} {{ 'a--b--c'.split('--', maxsplit=1) }} {{ 'aaa'.rsplit('aa') }} {{ 'aaa'.split('aa') }}
{{ 'abc'.split('') }}
{{ lines.splitlines() }} {{ lines.splitlines(true) }} {{ ''.splitlines() }} {{ 'a\x0bb\x0cc\x1cd\u2028e\x85f'.splitlines() }}
{{ 'a-b-c'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'abc'.partition('-') }} {{ 'abc'.rpartition('-') }}
{{ s.replace('o', '0') }} {{ s.replace('o', '0', 1) }} {{ 'abc'.replace('', '-') }} {{ 'abc'.replace('', '-', 2) }} {{ ''.replace('', 'x') }} {{ 'aaa'.replace('aa', 'b') }} {{ 'äöü'.replace('', '.') }}
{{ s.find('o') }} {{ s.find('o', 5) }} {{ s.find('zz') }} {{ s.rfind('o') }} {{ s.index('W') }} {{ s.rindex('l') }} {{ s.count('l') }} {{ 'aaaa'.count('aa') }} {{ 'abc'.count('') }} {{ uni.find('京') }} {{ uni.rfind('東', 2, 99) }} {{ 'abc'.find('') }} {{ 'abc'.rfind('') }} {{ 'abc'.find('', 4) }} {{ 'abcabc'.find('c', -2) }}
{{ s.index('zz') }}
{{ '-'.join(['a', 'b']) }} {{ ''.join([]) }}| {{ ','.join('abc') }} {{ ','.join(d) }} {{ ', '.join(d.keys()) }}
{{ ','.join([1, 2]) }}
{{ 'abc'.isalpha() }} {{ 'ab1'.isalpha() }} {{ ''.isalpha() }} {{ '123'.isdigit() }} {{ '²'.isdigit() }} {{ '²'.isdecimal() }} {{ '½'.isnumeric() }} {{ '四'.isnumeric() }} {{ 'a1'.isalnum() }} {{ ' \t'.isspace() }} {{ 'abc'.islower() }} {{ 'ABC'.isupper() }} {{ 'Abc Def'.istitle() }} {{ 'abc'.isascii() }} {{ 'é'.isascii() }} {{ 'a b'.isidentifier() }} {{ 'a\n'.isprintable() }} {{ 'ª'.islower() }} {{ '1a'.isidentifier() }}
{{ 'x'.center(6, '*') }} {{ 'xy'.center(5) }}| {{ 'xy'.center(7, '-') }} {{ 'x'.ljust(3) }}| {{ 'x'.rjust(3, '.') }} {{ '42'.zfill(5) }} {{ '-42'.zfill(5) }} {{ '+1'.zfill(1) }} {{ 'a\tb'.expandtabs(4) }} {{ 'foobar'.removeprefix('foo') }} {{ 'foobar'.removesuffix('bar') }} {{ 'foobar'.removeprefix('x') }}
{{ 'x'.center(6, '**') }}
{{ '{} {}'.format(1, 'a') }} {{ '{0} {1} {0}'.format('a', 'b') }} {{ '{x} {y.b}'.format(x=1, y=d) }} {{ '{0[a]} {0[b]}'.format(d) }} {{ '{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd') }} {{ '{:05d} {:+d} {:x} {:X} {:b} {:o} {:#x} {:,} {:_}'.format(42, 42, 255, 255, 5, 8, 255, 1234567, 1234567) }}
{{ '{:.2f} {:8.3f} {:e} {:g} {:%} {:.1%} {:,.2f} {:010.2f} {:+.1f} {:.3} {:.10g}'.format(3.14159, 2.5, 12345.678, 0.00001234, 0.5, 0.256, 1234567.891, -3.14159, 2.0, 3.14159, 1e20) }} {{ '{!r} {!s} {{}} {:.2}'.format('a', 'b', 'xyz') }} {{ '{:{w}}|'.format('a', w=4) }}
{{ '{:010,}'.format(1234) }} {{ '{:g}'.format(1e10) }} {{ '{:g}'.format(100000) }} {{ '{:g}'.format(1234567) }} {{ '{}'.format(1e16) }} {{ '{}'.format(none) }} {{ '{:c}'.format(65) }} {{ '{:s}'.format('x') }} {{ '{:5}|{:5}|'.format(1, 'a') }} {{ '{:5}|'.format(true) }} {{ '{:d}'.format(true) }} {{ '{:.3}'.format(12345.678) }} {{ '{:.6}'.format(12345.0) }} {{ '{:.0f}'.format(0.5) }} {{ '{:.0f}'.format(1.5) }} {{ '{: }'.format(5) }}
{{ '{}'.format() }}
{{ '{a}'.format() }}
{{ '{:d}'.format('x') }}
{{ '{'.format() }}
{{ '}'.format() }}
{{ '{:zz}'.format(1) }}
{{ '{} {0}'.format(1) }}
{{ '{a} {b}'.format_map({'a': 1, 'b': 2}) }}
{{ '%s %s' % ('a', 1) }} {{ '%d' % 3.7 }} {{ '%5d|%-5d|%05d' % (1, 2, 3) }} {{ '%+d % d' % (1, 2) }} {{ '%.2f %e %g %G' % (3.14159, 12345.678, 0.0001, 1e-10) }} {{ '%x %X %o %#x' % (255, 255, 8, 255) }} {{ '%c%c' % ('a', 66) }} {{ '%r %a' % ('é', 'é') }} {{ '%%' % () }} {{ '%(a)s-%(b)d' % {'a': 'x', 'b': 2} }} {{ '%s' % none }} {{ '%5.1f|%-8s|%8s|%.2s' % (2.25, 'ab', 'cd', 'xyz') }} {{ '%*d' % (5, 42) }} {{ '%s' % [1] }} {{ '%s' % missing }}|
{{ '%s %s' % 'a' }}
{{ '%s' % (1, 2) }}
{{ '%d' % 'x' }}
{{ 'x' % 1 }}
{{ '%q' % 1 }}
{{ '%s' % () }}
{{ "%s, %s!"|format('a', 'b') }} {{ "%(x)s"|format(x=1) }} {{ '%d%%'|format(5) }}
{{ 'x'|upper }} {{ 5|upper }} {{ none|lower }} {{ s|capitalize }} {{ 'hELLO'|capitalize }} {{ missing|upper }}|
{{ spaced|trim }}| {{ 'xxaxx'|trim('x') }} {{ 5|trim }} {{ none|trim }}
{{ s|replace('o', 'x') }} {{ s|replace('o', 'x', 1) }} {{ 121|replace(1, 3) }} {{ 'a'|replace('', 'b') }}
{{ list|join }} {{ list|join(', ') }} {{ users|join('-', attribute='name') }} {{ 'abc'|join('.') }} {{ [1, none, true, missing]|join(',') }} {{ missing|join }}| {{ d|join(',') }} {{ list|join(1) }}
{{ 5|join }}
{{ list|length }} {{ s|length }} {{ d|count }} {{ missing|length }} {{ ''|length }}
{{ 5|length }}
{{ none|length }}
{{ list|first }} {{ list|last }} {{ s|first }} {{ s|last }} {{ []|first }}| {{ []|last }}| {{ range(3)|last }} {{ missing|first }}|
{{ 5|first }}
{{ list|map('string')|list|last }}
{{ list|map('string')|last }}
{{ list|sort }} {{ words|sort }} {{ words|sort(case_sensitive=true) }} {{ list|sort(reverse=true) }} {{ users|sort(attribute='age')|map(attribute='name')|join(',') }} {{ users|sort(attribute='age,name')|map(attribute='name')|join(',') }} {{ users|sort(attribute='a.b', reverse=true)|map(attribute='name')|list }} {{ 'hello'|sort }} {{ users|sort(true, attribute='age')|map(attribute='name')|list }}
{{ mixed|sort }}
{{ words|unique|list }} {{ words|unique(case_sensitive=true)|list }} {{ users|unique(attribute='age')|map(attribute='name')|list }} {{ [1, 1.0, true, '1']|unique|list }}
{{ nested|unique|list }}
{{ list|reverse|list }} {{ 'abc'|reverse }} {{ (1, 2)|reverse|list }} {{ list|map('string')|reverse }} {{ uni|reverse }}
{{ 5|reverse }}
{{ list|sum }} {{ users|sum(attribute='age') }} {{ list|sum(start=10) }} {{ []|sum }} {{ [0.5, 1]|sum }} {{ [[1], [2]]|sum(start=[]) }}
{{ ['a']|sum }}
{{ list|min }} {{ list|max }} {{ words|min }} {{ words|max }} {{ users|max(attribute='age') }} {{ []|min }}| {{ words|min(case_sensitive=true) }} {{ 'hello'|max }}
{{ [1, 'a']|min }}
{{ d|dictsort }} {{ d|dictsort(true) }} {{ d|dictsort(false, 'value') }} {{ d|dictsort(reverse=true) }} {{ d|dictsort(by='value', reverse=true) }}
{{ list|dictsort }}
{{ d|dictsort(by='x') }}
{{ d|items|list }} {{ missing|items|list }}
{{ list|items|list }}
{% for g in users|groupby('age') %}{{ g.grouper }}:{{ g.list|map(attribute='name')|join(',') }};{% endfor %}{% for k, v in users|groupby('age') %}{{ k }}={{ v|length }} {% endfor %}{{ users|groupby('age') }}
{{ ['a', 'B', 'A', 'b']|groupby('0')|list }} {{ [{'c': 'CA'}, {'c': 'ca'}, {}]|groupby('c', default='NY') }}
{{ range(7)|batch(3)|list }} {{ range(7)|batch(3, 'x')|list }} {{ range(7)|slice(3)|list }} {{ range(7)|slice(3, 'x')|list }} {{ []|batch(2)|list }} {{ range(2)|slice(4)|list }}
{{ list|map('string')|list }} {{ users|map(attribute='name')|list }} {{ users|map(attribute='tags', default='none')|list }} {{ users|map(attribute='a.b')|list }} {{ words|map('upper')|join(' ') }} {{ words|map('replace', 'a', 'o')|list }} {{ [[1, 2], [3]]|map('first')|list }} {{ [[1, 2], [3]]|map(attribute=0)|list }} {{ none|map('x')|list }}
{{ list|map|list }}
{{ list|map('nope')|list }}
{{ list|map(attribute='x', foo=1)|list }}
{{ range(6)|select('odd')|list }} {{ range(6)|reject('odd')|list }} {{ mixed|select|list }} {{ mixed|reject|list }} {{ mixed|select('string')|list }} {{ list|select('gt', 1)|list }} {{ list|select('in', [1, 2])|list }} {{ words|select('equalto', 'cherry')|list }} {{ list|select('divisibleby', 2)|list }}
{{ users|selectattr('tags')|map(attribute='name')|list }} {{ users|selectattr('age', 'equalto', 30)|map(attribute='name')|list }} {{ users|rejectattr('tags', 'defined')|map(attribute='name')|list }} {{ users|selectattr('a.b', '>', 1)|map(attribute='name')|list }} {{ messages|selectattr('role', '==', 'user')|list|length }} {{ messages|rejectattr('content')|list }} {{ none|selectattr('x')|list }} {{ users|selectattr('nope', 'undefined')|list|length }}
{{ 5|select|list }}
{{ list|select('nope')|list }}
{{ users|selectattr|list }}
{% set g = list|map('string') %}{{ g|list }}{{ g|list }}
{{ (list|select('odd')) is iterable }} {{ (list|select('odd')) is sequence }} {{ list|select('odd')|first }}
{{ list|select('odd')|length }}
{{ missing|default('x') }} {{ ''|default('x') }}| {{ ''|default('x', true) }} {{ none|default('x') }} {{ none|d('x', boolean=true) }} {{ missing|d }}| {{ d.zz|default({}) }} {{ missing.x|default('y') }}
{{ 0|default(1, true) }} {{ s|default('x') }} {{ missing|default(missing2|default('deep')) }}
{{ '42'|int }} {{ '42.9'|int }} {{ 'x'|int }} {{ 'x'|int(7) }} {{ 'ff'|int(base=16) }} {{ '0x1f'|int(0, 16) }} {{ 3.9|int }} {{ -3.9|int }} {{ true|int }} {{ none|int }} {{ ' 42 '|int }} {{ '1_000'|int }} {{ '1e3'|int }} {{ '0b11'|int(0, 2) }} {{ '012'|int }} {{ ''|int }} {{ '-5'|int }} {{ '+5'|int }} {{ '١٢'|int }} {{ [1]|int }}
{{ missing|int }}
{{ missing|float }}
{{ '1.5'|float }} {{ 'x'|float }} {{ 'x'|float(2.5) }} {{ 3|float }} {{ '1e5'|float }} {{ 'inf'|float }} {{ '-inf'|float }} {{ 'nan'|float }} {{ ' 2.5 '|float }} {{ none|float }} {{ '1_0.5'|float }} {{ '.5'|float }} {{ '5.'|float }} {{ 'infinity'|float }}
{{ 2.5|round }} {{ 3.5|round }} {{ 2.567|round(2) }} {{ 2.5|round(0, 'ceil') }} {{ 2.5|round(0, 'floor') }} {{ 2.567|round(1, 'floor') }} {{ 2.567|round(1, 'ceil') }} {{ 5|round }} {{ 1234|round(-2) }} {{ 1250|round(-2) }} {{ 1350|round(-2) }} {{ 1234.5|round(-2) }} {{ -2.5|round }} {{ 0.5|round }} {{ 42.55|round(1, 'floor') }} {{ 2.675|round(2) }} {{ 1e300|round(2) }} {{ 5|round(0, 'ceil') }}
{{ 2.5|round(0, 'x') }}
{{ 's'|round }}
{{ -5|abs }} {{ neg|abs }} {{ -2.5|abs }} {{ true|abs }}
{{ 's'|abs }}
{{ 5|string }} {{ none|string }} {{ [1, 'a']|string }} {{ missing|string }}| {{ 1.0|string }}
{{ 'abc'|list }} {{ d|list }} {{ (1, 2)|list }} {{ missing|list }}
{{ html|escape }} {{ html|e }} {{ html|safe }} {{ html|forceescape }} {{ html|e|e }} {{ html|safe|e }} {{ html|e|forceescape }} {{ 5|e }}
{{ ('<a>'|safe) + '<b>' }} {{ '<b>' + ('<a>'|safe) }} {{ ('<a>'|safe) ~ '<b>' }} {{ ('<a>'|safe) * 2 }} {{ ('<%s>'|safe) % '<b>' }} {{ ('<a>'|safe)|upper }} {{ ['<a>'|safe] }} {{ ('<a>'|safe) is escaped }} {{ ('-'|safe).join(['<', '>']) }}
{{ 'a b&c/d?é=1'|urlencode }} {{ {'a': 1, 'b c': 'd/e'}|urlencode }} {{ [('x', 'y z')]|urlencode }} {{ 5|urlencode }}
{{ lines|indent }}| {{ lines|indent(2, true) }} {{ lines|indent(2, blank=true) }} {{ lines|indent('> ') }} {{ ''|indent }}| {{ 'a'|indent(first=true) }} {{ 'a\n'|indent }}| {{ 'a\n\nb\n'|indent(1) }}|
{{ 5|indent }}
{{ 'foo bar baz qux'|truncate(9) }} {{ 'foo bar baz qux'|truncate(9, true) }} {{ 'foo bar baz qux'|truncate(11) }} {{ 'foo bar baz qux'|truncate(11, false, '...', 0) }} {{ 'foo bar baz qux'|truncate(5, true, '', 0) }} {{ 'foobarbazqux'|truncate(6, leeway=0) }} {{ uni|truncate(4, true, '…', 0) }}
{{ 'foo bar'|truncate(1) }}
{{ 'hello big wide world'|wordwrap(10) }} {{ 'averyveryverylongword here'|wordwrap(8) }} {{ 'averyveryverylongword here'|wordwrap(8, false) }} {{ 'a-b foo-bar well-known-word'|wordwrap(7) }} {{ 'one two\n\nthree four five'|wordwrap(9, wrapstring='|') }} {{ ''|wordwrap(5) }}| {{ '  lead and   gaps  '|wordwrap(6) }}|
{{ 'hello -- big'|wordwrap(7) }} {{ 'foo-bar-baz'|wordwrap(5, break_on_hyphens=false) }} {{ 'x--y dash--word'|wordwrap(6) }}
{{ s|wordcount }} {{ 'a, b-c d_e é1 '|wordcount }} {{ ''|wordcount }}
{{ s|center(20) }}| {{ 'x'|center(4) }}| {{ s|center }}|
{{ '<p>a <b>x</b>\n  y &amp; z &lt;</p><!-- c -->'|striptags }}
{{ {'class': 'a b', 'id': none, 'x': 5, 'y': '<">'}|xmlattr }} {{ {'a': 1}|xmlattr(false) }}
{{ {'a b': 1}|xmlattr }}
{{ 0|filesizeformat }} {{ 1|filesizeformat }} {{ 999|filesizeformat }} {{ 1000|filesizeformat }} {{ 1500000|filesizeformat }} {{ 1024|filesizeformat(true) }} {{ '3000'|filesizeformat }} {{ 1e25|filesizeformat }}
{{ {'b': 1, 'a': [1, 'x']}|pprint }} {{ 'x'|pprint }} {{ [1, 2]|pprint }}
{{ users[0]|attr('name') }}| {{ s|attr('upper') is callable }} {{ missing2|attr('x') is defined }}
{{ d|tojson }} {{ mixed|tojson }} {{ quote|tojson }} {{ uni|tojson }} {{ html|tojson }} {{ (1, 2)|tojson }} {{ 1.0|tojson }} {{ 1e16|tojson }} {{ none|tojson }} {{ true|tojson }}
{{ users|tojson(indent=2) }} {{ []|tojson(indent=4) }} {{ {}|tojson(indent=4) }} {{ [[], {}]|tojson(indent=1) }} {{ d|tojson(indent='--') }} {{ [1]|tojson(indent=0) }}
{{ d|tojson(separators=(',', ':')) }} {{ d|tojson(sort_keys=true) }} {{ uni|tojson(ensure_ascii=true) }} {{ quote|tojson(ensure_ascii=true) }} {{ d|tojson(indent=2, separators=(' ,', ' = ')) }} {{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }} {{ d|tojson(true, 2) }}
{{ missing|tojson }}
{{ range(3)|tojson }}
{{ {(1, 2): 3}|tojson }}
{{ namespace(a=1)|tojson }}
{{ d.items()|list|tojson }} {{ 'inf'|float|tojson }} {{ 'nan'|float|tojson }}
{{ d.keys()|tojson }}
{{ 1 is odd }} {{ 2 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(4) }} {{ 2.0 is even }} {{ true is odd }}
{{ 'a' is odd }}
{{ s is defined }} {{ missing is undefined }} {{ d.a is defined }} {{ d.zz is defined }} {{ missing is not defined }}
{{ none is none }} {{ nil is none }} {{ 0 is none }} {{ missing is none }} {{ true is boolean }} {{ 1 is boolean }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ 0 is false }}
{{ 1 is integer }} {{ true is integer }} {{ 1.0 is integer }} {{ 1.0 is float }} {{ 1 is number }} {{ true is number }} {{ '1' is number }} {{ 1.5 is number }}
{{ s is string }} {{ 1 is string }} {{ (html|safe) is string }} {{ d is mapping }} {{ list is mapping }} {{ list is sequence }} {{ s is sequence }} {{ d is sequence }} {{ 5 is sequence }} {{ missing is sequence }} {{ range(2) is sequence }} {{ d.items() is sequence }} {{ (1,) is sequence }}
{{ list is iterable }} {{ s is iterable }} {{ 5 is iterable }} {{ none is iterable }} {{ missing is iterable }} {{ d is iterable }} {{ namespace() is iterable }} {{ namespace() is mapping }} {{ d.items() is iterable }}
{{ range is callable }} {{ s is callable }} {{ s.upper is callable }} {{ missing is callable }} {{ namespace is callable }} {{ dict is callable }} {{ cycler(1) is callable }}
{{ 'abc' is lower }} {{ 'ABC' is upper }} {{ 'aB' is lower }} {{ 5 is lower }} {{ '' is upper }}
{{ 1 is eq 1 }} {{ 1 is equalto 2 }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 1 is le 1 }} {{ 1 is gt 0 }} {{ 1 is ge 2 }} {{ 1 is greaterthan 0 }} {{ 1 is lessthan 0 }} {{ 1 is sameas 1 }} {{ none is sameas none }} {{ 1 is sameas true }} {{ list is sameas list }} {{ 1 is in [1] }} {{ 'a' is in 'abc' }} {{ 5 is not in [1] }}
{{ 'upper' is filter }} {{ 'nope' is filter }} {{ 'defined' is test }} {{ 'nope' is test }}
{{ not s is defined }} {{ s is not defined or true }} {{ s is defined and d is mapping }} {{ s is string if true else 1 }} {{ (s is string) ~ 'x' }} {{ 3 is divisibleby 3 and 1 }} {{ -1 is lt 0 }}
{{ s is defined is string }}
{{ s is nope }}
{{ s|nope }}
{% if false %}{{ s|nope }}{% endif %}ok
{% if false %}{{ s is nope }}{% endif %}ok
{{ 'x' if true else s|nope }}
{% if true %}{{ s|nope }}{% endif %}
{% if false %}{% for x in s|nope %}{% endfor %}{% endif %}ok
{% if false %}{% for x in s %}{{ x|nope }}{% endfor %}{% endif %}ok
{% if n > 3 %}big{% elif n > 1 %}mid{% else %}small{% endif %} {% if zero %}a{% elif empty %}b{% elif nil %}c{% else %}d{% endif %} {% if missing %}x{% endif %}
{% if 1, 2 %}tuple{% endif %}
{% if %}x{% endif %}
{% for x in list %}{{ loop.index }}/{{ loop.length }}:{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for x in list %}{{ loop.index0 }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.first }} {{ loop.last }} {{ loop.depth }} {{ loop.depth0 }} {{ loop.previtem }} {{ loop.nextitem }};{% endfor %}
{% for x in list %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }} {% endfor %}
{% for x in [] %}x{% else %}empty{% endfor %} {% for x in list %}x{% else %}no{% endfor %} {% for x in missing %}x{% else %}undef{% endfor %}
{% for x in none %}x{% endfor %}
{% for x in 5 %}x{% endfor %}
{% for c in 'aé😀' %}[{{ c }}]{% endfor %} {% for k in d %}{{ k }}{% endfor %} {% for k, v in d.items() %}{{ k }}={{ v }} {% endfor %} {% for k, v in d|items %}{{ k }}{{ loop.last }} {% endfor %}
{% for a, b in [(1, 2), [3, 4], 'xy'] %}{{ a }}{{ b }} {% endfor %} {% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %} {% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}
{% for a, b in [1] %}x{% endfor %}
{% for a, b in [(1, 2, 3)] %}x{% endfor %}
{% for a, b in [(1,)] %}x{% endfor %}
{% for x in range(10) if x is odd %}{{ x }}:{{ loop.index }}/{{ loop.length }}{{ loop.last }} {% endfor %} {% for x in list if x > 5 %}x{% else %}none{% endfor %}
{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %} {% for x in [1] %}{% break %}{% else %}else{% endfor %}|
{% break %}
{% for x in [1, 2] %}{% if x == 2 %}{% break %}{% endif %}x{% else %}else{% endfor %} {% for x in [1, 2] %}{% continue %}{% else %}else{% endfor %}
{% for a, in [(1,)] %}{% endfor %}
{% for () in [()] %}x{% endfor %} {% for (a), b in [(1, 2)] %}{{ a }}{{ b }}{% endfor %} {% for (a,) in [(1,)] %}{{ a }}{% endfor %}
{% set a, = (1,) %}
{% for x in 1, 2, %}{{ x }}{% endfor %}
{% for recursive in 1, 2 recursive %}{{ recursive }}{% endfor %}
{#
{# c
{% for x in list %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}
{% for x in [1, 2] %}{% for y in [1, 2] %}{% if y == 2 %}{% break %}{% endif %}{{ x }}{{ y }} {{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}
{% for x in [1, 2] %}{% filter upper %}a{% if x == 2 %}{% break %}{% endif %}b{% endfilter %}{% endfor %}|{% for x in [1, 2] %}{% set y %}q{% continue %}{% endset %}{{ y }}{% endfor %}
{% for n in tree recursive %}{{ n.v }}{{ loop.depth }}({{ loop(n.c) }}){% endfor %}
{% for n in tree recursive %}{{ n.v }}{% if n.c %}[{{ loop(n.c) }}]{% endif %}{% if not loop.last %},{% endif %}{% else %}E{% endfor %}
{% for x in list %}{{ loop(list) }}{% endfor %}
{{ loop }}|{{ loop is defined }}
{% for x in list %}{{ loop }}{% endfor %}
{% set x = 1 %}{% for i in list %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}
{% set ns = namespace(x=0) %}{% for i in list %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }} {{ ns }} {{ ns.zz }}| {{ ns['x'] }}
{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{% set ns.c, ns.a = 5, 6 %}{{ ns.c }}{{ ns.a }}
{% set ns = namespace() %}{% set ns._x = 1 %}
{{ namespace(_x=1) }}
{% set d.x = 1 %}
{% set missing.x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }} {% set c = 1, 2 %}{{ c }} {% set (e, f) = 'xy' %}{{ e }}{{ f }}
{% set a, b = 1 %}
{% set a %}block {{ s }}{% endset %}[{{ a }}] {% set a | upper %}block{% endset %}{{ a }} {% set a | replace('b', 'c') | upper %}b{% endset %}{{ a }}
{% set true = 1 %}
{% set 1 = 1 %}
{% if t %}{% set inner = 1 %}{% endif %}{{ inner }}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% set c = 3 %}{{ c }}{% endwith %}{{ a }}{{ c }}| {% with %}{% set z = 1 %}{{ z }}{% endwith %}{{ z }}
{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% macro m(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m() }}{{ m(b=5, a=4) }} {{ m.name }} {{ m.arguments }} {{ m.catch_kwargs }} {{ m.caller }} {{ m }}
{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}{{ m(1) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=1) }}
{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 2) }}
{% macro m(x=x) %}[{{ x }}]{% endmacro %}{{ m() }}
{% macro m(a, a) %}{% endmacro %}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m() %}{{ caller() }}!{% endmacro %}{% call m() %}body {{ s }}{% endcall %}
{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=5) m() %}{{ a }}{{ b }}{% endcall %}
{% macro m() %}x{% endmacro %}{% call m() %}body{% endcall %}
{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}
{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}
{% macro m(caller=none) %}{{ caller is none }}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}
{% macro f(k) %}{{ k }}{% if k > 0 %}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(3) }}
{% macro outer() %}{% macro inner() %}in{% endmacro %}{{ inner() }}{% endmacro %}{{ outer() }}
{% set v = 1 %}{% macro m() %}{{ v }}{% endmacro %}{{ m() }}{% set v = 2 %}{{ m() }}
{% macro m() %}{{ n }}{% endmacro %}{{ m() }}{% set n = 2 %}{{ m() }}
{% set s %}<{{ s }}>{% endset %}{{ s }}
{% for i in [1] %}{% set q %}{{ n }}{% endset %}{{ q }}{% set n = 3 %}{{ n }}{% endfor %}{{ n }}
{% for i in [1, 2] %}{% macro m() %}{{ s }}{% endmacro %}{{ m() }}{% set s = i %}{{ m() }}{% endfor %}
{% macro m() %}{% set w = 1 %}{{ w }}{% endmacro %}{{ m() }}{{ w }}
{% macro m(a) %}{% for i in a %}{{ i }}{{ loop.index }}{% endfor %}{% endmacro %}{{ m([1, 2]) }}{{ m(*[[3]]) }}{{ m(**{'a': [4]}) }}
{{ dict(a=1, b=2) }} {{ dict({'x': 1}, y=2) }} {{ dict([('a', 1)]) }} {{ dict() }} {{ dict.fromkeys(['a', 'b'], 1) }} {{ dict(d, a=9) }}
{{ dict(1) }}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.next() }}
{% set j = joiner(', ') %}{{ j() }}a{{ j() }}b{{ j() }}c {% set k = joiner() %}{{ k() }}x{{ k() }}
{{ cycler() }}
{{ raise_exception('boom') }}
{{ strftime_now('%Y-%m-%d %H:%M:%S %d %b %B %A %a %j %p %I %y %% %e %-d %f [%z] [%Z] x') }}
{{ strftime_now('') }}|
{% filter upper %}abc {{ s }}{% endfilter %} {% filter replace('a', 'b')|upper %}aaa{% endfilter %}
{% generation %}assistant {{ s }}{% set gx = 1 %}{% endgeneration %}{{ gx }}
{% for x in [1, 2] %}{%- generation -%} g{{ x }}{{ loop.index }} {%- endgeneration -%}{% endfor %}
{% print 'a' %}{% print 1, 2 %}
{% block b %}in {{ s }}{% endblock %} {% block c %}x{% endblock c %}
{% set top = 4 %}{% for i in [1] %}{% block b2 %}{{ i }}{{ top }}{% endblock %}{% block b3 scoped %}{{ i }}{% endblock %}{% endfor %}
{% include 'x' %}
{% import 'x' as y %}
{% if false %}{% include 'x' %}{% endif %}ok
{% extends 'x' %}
{% unknown %}
{% if x %}
{% for x in y %}
{% endfor %}
{% if t %}a{% endfor %}
{{ s
{{ }}
{{ 1 2 }}
{{ (1 }}
{{ [1, 2 }}
{{ 'abc }}
{{ a b }}
{{ 1 + }}
{{ s..x }}
{{ s. }}
{{ s[ }}
{{ s[] }}
{{ $ }}
{{ a = 1 }}
{{ f(a=1, 2) }}
{{ 'a' if }}
{# comment #}after {# multi
line #}x
{# unterminated
{#- strip -#}  x  {#- y -#}  z
{% raw %}{{ not }} {% parsed %} {# c #}{% endraw %}|{%- raw -%}  x  {%- endraw -%}  y
{% raw %}
 a
{% endraw %}
b
{% raw %}x
  a
  {% if t %}
    b
  {% endif %}
c
a {% if t %} b {% endif %} c
a {%- if t -%} b {%- endif -%} c
a  {%+ if t %} b
  {%+ endif %} c
a
  {{ s }}
  {{- s -}}
  b
{% if t %}
x
{% endif %}
y
{% if t +%}
x
{% endif +%}
y
{% for x in list %}
  {{ x }}
{% endfor %}
end
{%- for x in list %}
  - {{ x }}
{%- endfor %}
  {# comment at line start #}
x
x {# trailing comment #}
y
	{% if t %}	tab{% endif %}
{{ 'a' }}{% if t %}

b{% endif %}
{{ s }}
 {%- set x = 1 -%} 
y
{{- s -}} z {{+ s }}
a\n{% if t %}b{% endif %}
{{ {'a': {'b': 1}}['a']['b'] }} {{ {'a': 1}.a }} {{ {'a':1}}}
{{ [1,2][0] }} {{ 'abc'[1] }} {{ 'abc'.upper()[0] }} {{ (1, 2)[1] }} {{ 'a b'.split()[1]|upper }}
{{ -1|abs }} {{ (-1)|abs }} {{ 2 * 3|string }} {{ 'a' ~ 'b'|upper }} {{ 1 + 2|string|int }} {{ not false|string }} {{ 1 == 1|int }}
{{ s|upper|lower|replace('hello', 'bye')|trim|length + 1 }}
{{ true and not false or false }} {{ 1 if true else 2 + 1 }} {{ (1 if true else 2) + 1 }} {{ 1 < 2 and 2 < 3 }} {{ not 1 == 2 }} {{ 1 in [1] and 2 not in [1] }} {{ not 1 in [2] }}
{{ 1 == 1 == 1 }} {{ 3 > 2 > 1 }} {{ 1 in [1] == true }}
{{ 9223372036854775807 }} {{ -9223372036854775807 - 1 }} {{ 4611686018427387904 * 1 }} {{ big }} {{ big + 1 }} {{ big == 9007199254740992.0 }} {{ big > 9007199254740992.0 }}
{{ 1e308 * 10 }} {{ -1e308 * 10 }} {{ (1e308 * 10) - (1e308 * 10) }} {{ 0.0 }} {{ -0.0 }} {{ 1.0 }} {{ 100000000000000000000.0 }} {{ 5e-324 }} {{ 1.7976931348623157e308 }} {{ 3.0e0 }}
{{ list == [3, 1, 2] }} {{ d == {'b': 1, 'a': 2, 'C': 3} }} {{ s == 'Hello World' }} {{ [] == [] }} {{ none == none }}
{{ messages[0]['role'] == 'user' }} {{ messages|length }} {{ messages[-1].content == '' }} {{ messages[1:]|map(attribute='role')|list }} {{ (messages|selectattr('role', 'equalto', 'assistant')|first).content }}
{% for m in messages %}{{ '<|' + m['role'] + '|>' }}{{ m['content'] | trim + eos_token }}{% if loop.last and m.role != 'assistant' %}{{ '<|assistant|>' }}{% endif %}{% endfor %}
{{ bos_token + 'x' + eos_token }}
{% set x = messages %}{% if x[0].role == 'system' %}a{% else %}b{% endif %}{% set x = x[1:] %}{{ x|length }}
{% set content = 'a</think>b' %}{{ content.split('</think>')[-1].lstrip('\n') }}{{ content.split('</think>')[0] }} {{ (content.split('</think>')|last) }}
{{ s.upper }}
{{ 'a'.upper is defined }} {{ n.real }} {{ n.bit_length() }} {{ f.is_integer() }} {{ (2.0).is_integer() }} {{ n.numerator }} {{ true.real }}
{{ 'x' is sameas 'x' }} {{ 1 is divisibleby 0 }}
{{ users|map('attr', 'name')|list }}
{{ ['a', 'b']|map('upper')|map('lower')|join }} {{ [1, 2, 3]|map('string')|map('replace', '1', 'one')|list }}
{{ 'abc'|map('upper')|list }} {{ d|map('upper')|list }} {{ (1, 2)|select('gt', 1)|list }}
{% set x = [] %}{% for i in range(3) %}{% set x = x + [i] %}{% endfor %}{{ x }}{% set ns = namespace(l=[]) %}{% for i in range(3) %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.l }}
{% for k, v in {'a': 1, 'b': [1, {'c': none}]}.items() %}{{ k }}: {{ v }}{{ ', ' if not loop.last }}{% endfor %}
{{ {'a': 1}|length }} {{ {'a': 1}['b']|default('x') }} {{ {'a': none}.a|default('x', true) }}
{{ ('a', 'b')|join('/') }} {{ ['x']|first|upper }} {{ [[1, 2], [3, 4]]|map('join', '-')|join('|') }} {{ ['a', ['b']]|string|length }}
{%if t%}x{%endif%}{%-if t-%}y{%-endif-%}{{s}}{{-s-}}
{% if s == "Hello World" -%}   yes   {%- else -%} no {%- endif %}
{% for a in [1,2] -%}
  {{ a }}
{%- endfor %}|
{% for a in [1,2] %}{{ a }}{% endfor -%}
   x
{{ "{{ not a var }}" }} {{ "{% raw %}" }} {{ '#}' }} {{ '%}' }} {{ '}}' }}
{{ 'a' }} {{ "b" }} {{ 'a"b' }} {{ "a'b" }} {{ 'multi
line' }}
{{ s|replace("World", "{{ x }}") }}
{% set a = {'x': [1, 2, {'y': 'z'}]} %}{{ a.x[2].y }} {{ a['x'][2]['y'] }} {{ a.x.2.y }}
{{ 1 if s else 2 }} {{ 'x' * n }} {{ n // 2 }} {{ n % 2 == 1 }} {{ n is odd }} {{ list|length > 2 }} {{ list[n % 3] }}
{{ [1, 2, 3, 4]|batch(2)|map('sum')|list }} {{ [1, 2, 3, 4]|slice(2)|map('list')|list }}
{{ lines|replace('\n', '\\n') }} {{ 'a\\nb' }} {{ 'tab\\t' }}
{{ 'ÀÉ'|lower }} {{ 'àé'|upper }} {{ 'ß'|upper }} {{ 'straße'|title }} {{ 'ÑANDÚ'|capitalize }} {{ 'İ'|lower|length }}
{{ 1.23456789012345678 }} {{ 100.0 }} {{ 1e22 }} {{ 1e21 }} {{ 123456.789e3 }} {{ 0.1 }} {{ 1/3 }} {{ 2/3 }} {{ 10/3|round(2) }} {{ (10/3)|round(2) }}
{{ 5.0 // 0.3 }} {{ 5.3 % 0.7 }} {{ -5 // 3.0 }} {{ 3 ** 0 }} {{ 0 ** 0 }} {{ 2 ** 0.5 }} {{ 10 ** 18 }} {{ 4 ** -2 }}
{{ (1, 2) + (3,) }} {{ [3] * 0 }} {{ 'ab' < 'abc' }} {{ [] < [1] }} {{ (1, 'a') == (1, 'a') }} {{ true < 2 }} {{ none is sameas(none) }}
{% for i in range(3) %}{% for j in range(2) %}{{ loop.index }}{% if loop.last %};{% endif %}{% endfor %}{{ loop.index }}{% endfor %}
{% for i in [3, 1, 2]|sort %}{{ i }}{% endfor %} {% for a in d|dictsort %}{{ a[0] }}{{ a.1 }}{% endfor %} {% for x in 'ab', 'cd' %}{{ x }}{% endfor %}
{% for x in list if loop is defined %}{{ x }}{% endfor %}|{% for x in [[1], []] if x %}{{ x }}{% endfor %}
{% set ns = namespace(stop=false) %}{% for x in range(5) if not ns.stop %}{{ x }}{% if x == 2 %}{% set ns.stop = true %}{% endif %}{% endfor %}
{% macro t(x) %}{% if x is mapping %}{{ '{' }}{% for k, v in x|dictsort %}{{ k }}:{{ t(v) }}{{ ',' if not loop.last }}{% endfor %}{{ '}' }}{% elif x is iterable and x is not string %}[{% for v in x %}{{ t(v) }}{{ ',' if not loop.last }}{% endfor %}]{% else %}{{ x }}{% endif %}{% endmacro %}{{ t(users) }}
{% set loop = 1 %}{{ loop }}
{% for loop in [1] %}{% endfor %}
{{ super() }}
{{ 'a'|default }} {{ ''|d('z') }}| {{ missing|d('z')|upper }} {{ (missing or 'alt')|upper }}
{{ [missing, none]|list }} {{ [missing]|first is defined }} {{ {'a': missing} }}
{{ s if s is defined and s|length > 3 else 'short' }}
{{ 'a' in ['a', 'b'] and 'c' not in ['a'] }} {{ 'user' == messages[0].role }} {{ (messages|first).role }} {{ messages|last|attr('role') }}|
{{ "a" "b" ~ 'c' }} {{ 'é' 'è' }}
{{ {'role': 'user'}['role'] }} {{ {'a': 1, **{}} }}
{{ list|list == list }} {{ list is sequence and list is not string }} {{ (list|map('int')|list)[0] }}
"""


# Snippets of several lines, whitespace rules above all.
BLOCKS = [
    "{% for x in list %}\n  {{ x }}\n{% endfor %}\nend\n",
    "a\n  {% if t %}\n    b\n  {% endif %}\nc\n",
    "a\n  {%- if t %}\n    b\n  {%- endif %}\nc",
    "a\n  {%+ if t %}\n    b\n  {%+ endif %}\nc",
    "a\n  {% if t -%}\n    b\n  {% endif -%}\n  c",
    "a\n  {% if t +%}\n    b\n  {% endif +%}\nc",
    "  {# c #}\n  {# d -#}\n  x {# e #}\ny\n  {#- f #}\nz {#+ g +#}\n",
    "  {# c +#}\nx",
    "{% raw %}\n a\n{% endraw %}\nb",
    "  {% raw %}  {{ x }}\n  {% endraw %}\nb",
    "  {%- raw %}\n  {{ x }}\n  {%- endraw -%}\n  b",
    "  {% raw -%}\n  {{ x }}  {%+ endraw +%}\n  b",
    "x\n\n{%- if t %}\n\ny{% endif -%}\n\nz\n\n",
    "\n\n\n", "\n", "", "a\n", "a\n\n", "a\r\nb\r\n", "a\rb\r", "{{ 'a\r\nb' }}\r\n{% if t %}\r\nx{% endif %}\r\n",
    "{{ s }}\n{{ s }}\n\n{{- s }}\n{{ s -}}\n\n x",
    "  {{ s }}\n\t{{ s }}\n",
    "{% set a = 1 %}\n{% set b = 2 %}\n{{ a }}{{ b }}\n",
    "{% set a = 1 %}   \n  {% set b = 2 %} x\n",
    "{% macro m() %}\n  line\n{% endmacro %}\n{{ m() }}|\n{{- m() -}}\n|",
    "{%- for m in messages -%}\n  {{- m.role }}: {{ m.content -}}\n  {%- if not loop.last %}\n  {% endif -%}\n{%- endfor -%}\n",
    "{% if t %}\n{% if t %}\nx\n{% endif %}\n{% endif %}\ny",
    "{% if t %}{# c #}\nx{% endif %}",
    "a {% if t %}  \n b{% endif %}",
    "\u00a0{% if t %}x{% endif %}\n\u3000{%- if t %}y{% endif %}",
    "{{ s }}{# c #}\n\n{# d #}\ne",
    "{%\nif\nt\n%}x{%\nendif\n%}",
    "{{\n  s\n  |\n  upper\n}}",
    "{%- if t -%}\n\n  a  \n\n{%- else -%}\n  b\n{%- endif -%}\n",
    "{% call(x) m2() %}{{ x }}{% endcall %}",
    "{% macro m2() %}[{{ caller('q') }}]{% endmacro %}\n{% call(x) m2() %}\n  {{ x }}\n{% endcall %}\nz",
    "{% set x %}\n  a\n  b\n{% endset %}\n[{{ x }}]",
    "{% filter indent(2) %}\na\nb\n{% endfilter %}",
    "{% generation %}\nabc\n{% endgeneration %}\nx",
    "line{% if t %}\n  more\n{% endif %}rest",
    "{{ 'x' }}\n    {% for i in [1,2] %}\n    {{ i }}\n    {% endfor %}\n    end",
    "{% if not messages[0].role == 'system' %}\n    {{- 'no system' }}\n{%- endif %}\n",
    "{# {% raw %} #}{{ 1 }}",
    "{% raw %}{% raw %}{% endraw %}x",
    "{{ '{%' }}{% raw %}{{ '{%' }}{% endraw %}",
    "{%+ if t +%} a {%+ endif +%}\n",
    "{% if t %}a{% endif %}{% if t %}b{% endif %}\n\n{% if t %}c{% endif %}\n",
    "<{% if t %}> {%endif%}\n",
    "{", "{ {", "}}", "%}", "#}", "{ % if %}", "{{{ 'a': 1 }}}", "{{ {} }}{{ {}}}",
    "{{ lines }}\n{{ lines | indent(4) }}\n{{ lines | indent(width=2, first=True) }}",
    "{{ users | tojson(indent=4) }}\n{{ users[0] | tojson | indent(2) }}",
    "{% for u in users %}\n{% for t in u.tags %}\n{{ t }}\n{% else %}\nnone\n{% endfor %}\n{% endfor %}",
]



def with_parts(line):
    """A line of several outputs, and each of them alone, so that one that raises does not hide the others."""
    parts = re.findall(r"\{\{.*?\}\}", line)
    alone = "{%" not in line and len(parts) > 1 and re.sub(r"\{\{.*?\}\}", "", line).strip(" |") == ""
    return [line] + (parts if alone else [])


SNIPPETS = [snippet for line in SOURCES.strip("\n").split("\n") for snippet in with_parts(line)] + BLOCKS
