"""Texts of the goldens, all written or generated here.

Characters that an editor may normalize or hide are written as escapes.
"""

import unicodedata

from dice import Dice
from sentences import feeling
from unicode_blocks import blocks

WORDS = """
a I the and but never always cat dogs running unhappiness internationalization antidisestablishmentarianism
hello world can't won't it's they'd o'clock mother-in-law e-mail naïve café résumé Zürich straße fiancée
wonderful terrible embeddings tokenization transformer happiness sadness Monday December London XML iPhone
supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis zzzzzz qwxz hmmmm soooooo
yesss noooo lol omg wtf brb idk ¿qué? OK ok Ok oK UPPER mIxEd 3d 2nd 42 1,000,000 3.14159 -7 +1 50% $9.99
C++ C# F# .NET A/B R&D AT&T node.js v2.0.1 x86_64 snake_case camelCase kebab-case
""".split()

SUBJECTS = "I|you|we|they|my sister|the neighbour|an old friend|Dr. Okafor|nobody|the whole team|a stranger on the bus|Maria".split("|")
VERBS = "forgot|loved|could not stand|finally finished|kept talking about|broke|hid|laughed at|was afraid of|wrote down|painted|ran from".split("|")
OBJECTS = "the blue door|that song|every single one of the letters|a broken umbrella|his 3rd attempt|the end of the film|our garden|two hundred red balloons|the truth|an unreasonably large sandwich|the noise upstairs|it".split("|")
TAILS = "yesterday|before breakfast|because of the rain|and then went home|, as usual|without saying a word|at 5:45 p.m.|in the middle of the night|-- or so they said|for no reason at all|when the lights went out|again and again".split("|")
ENDS = [".", ".", ".", "!", "?", "...", "!!!", "?!", "", " :)", " :-(", " <3", "…", " 😀", " #nofilter"]

# Text in many scripts. Decomposed, composed, uppercase and lowercase forms are derived from each.
SCRIPTS = [
    "Crème brûlée, garçon! Où est l'hôtel de ma sœur Zoë?",
    "Ångström übermäßig Größe Straße STRASSE ẞ ß ſ",
    "El niño comió piñas en la montaña: ¡qué alegría!",
    "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "Zażółć gęślą jaźń",
    "Việt Nam: tiếng Việt có nhiều dấu thanh, phở rất ngon",
    "İstanbul'da ılık bir IŞIK, ığdır İĞDIR",
    "Þetta er íslenska: ð, þ, æ og ö",
    "Ο Σίσυφος ΣΊΣΥΦΟΣ σοφός ΟΔΟΣ ὀδός ᾳ ᾼ ΐ ΰ",
    "Съешь же ещё этих мягких французских булок, да выпей чаю; ЙЁ йё",
    "Україна: їжак, ґанок, є",
    "Հայերեն այբուբեն և եւ",
    "ქართული ენა ᲥᲐᲠᲗᲣᲚᲘ",
    "שָׁלוֹם עֲלֵיכֶם, יְרוּשָׁלַיִם",
    "السَّلَامُ عَلَيْكُمْ، كَيْفَ حَالُكَ؟ ١٢٣ ﷺ ﻻ",
    "فارسی: می‌خواهم کتاب بخوانم ۴۵۶",
    "नमस्ते दुनिया, क्षत्रिय ज़िंदगी १२३ ।",
    "বাংলা ভাষা ড় ঢ় য়",
    "தமிழ் மொழி கொ கௌ",
    "สวัสดีครับ น้ำ เป็นอย่างไรบ้าง ๑๒๓",
    "ພາສາລາວ ຳ",
    "མི་རིགས་སྐད་ཡིག ཧྲཱི",
    "မြန်မာဘာသာ",
    "ភាសាខ្មែរ ស្រុក",
    "አማርኛ ፊደል ፩፪፫",
    "ᏣᎳᎩ ꮳꮃꭹ",
    "ᠮᠣᠩᠭᠣᠯ ᠬᠡᠯᠡ",
    "我爱你，北京的冬天很冷。今天天气真好！",
    "繁體中文：臺灣、憂鬱的烏龜",
    "日本語の文章です。カタカナ、ひらがな、漢字。ガギグゲゴ パピプペポ ヴ",
    "ﾊﾝｶｸ ｶﾞｷﾞ ｶﾞ ﾊﾟ ｱｲｳ",
    "한국어 문장입니다. 뷁 각 힣 안녕하세요",
    "𠀀𠀁 𠮷野家 𪛖 𫝀 𫠠 𬺰 𮯠 丽 𰀀",
    "豈更車賈 﨎﨏 ﬀﬁﬂﬃﬄﬅﬆ ﬓ ﷲ ㎏ ㍿ ㌀ ℌ ℝ ™ ℡ № Ⅷ ⅷ ½ ¼ ①②⑳ ⒜ ²³ ₁₂",
    "Ｆｕｌｌ　ｗｉｄｔｈ　ＡＢＣ１２３！？～｜",
    "𝐁𝐨𝐥𝐝 𝑖𝑡𝑎𝑙𝑖𝑐 𝒮𝒸𝓇𝒾𝓅𝓉 𝔉𝔯𝔞𝔨𝔱𝔲𝔯 𝟘𝟙𝟚 🅰🅱 Ⓒⓓ",
    "𐐀𐐁𐐨 Deseret, 𞤀𞤢 Adlam, 𐌰𐌱 Gothic, 𒀀𒀁 cuneiform, 𓀀𓁐 hieroglyphs",
]

SPECIAL = [
    # Empty and almost empty texts.
    "", " ", "  ", "\t", "\n", "\r\n", " \t\r\n ", "\u00a0", "\u3000", "\u200b", "\ufeff", "\u00ad", "\u0000", "\ufffd",
    ".", "-", "'", '"', "#", "##", "##ing", "ing", "## ing", "a##b", "_", "^", "`", "~", "$", "|", "\\", "/", "…", "—",
    # Texts that look like special tokens.
    "[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "[cls]", "[sep]", "[Mask]", "[MASK] it", "it[MASK]it", "[CLS][SEP]",
    "[CLS] hello [SEP] world [SEP]", "[ MASK ]", "[MASK", "MASK]", "[[MASK]]", "[PAD][PAD] x", "a[UNK]b", "[unused0] [unused1]",
    "unused0", "[MASK]\u0301", "\u200b[MASK]\u200b", "[MA\u00adSK]", "［ＭＡＳＫ］", "<s> </s> <pad> <mask> <unk> <|endoftext|>",
    # Spaces and line endings.
    " leading", "trailing ", "  both  ends  ", "a\tb\tc", "line one\nline two\r\nline three\rline four", "a\u000bb\u000cc",
    "a\u0085b\u2028c\u2029d", "a\u00a0b\u1680c\u2000d\u2003e\u200af\u202fg\u205fh\u3000i", "a\u180eb", "many      spaces",
    "zero\u200bwidth\u200cjoin\u200der\u2060word\ufeffbom", "\ufeffbom first", "soft\u00adhyphen\u00adated", "a\u061cb\u200ec\u200fd",
    "\u202aleft\u202b right\u202c pop \u202dover\u202e rtl\u2066 iso\u2069", "tag \U000e0041\U000e0042\U000e007f end",
    # Control characters and other unusual code points.
    "nul\u0000inside", "\u0000\u0000", "bell\u0007 esc\u001b[31mred\u001b[0m", "del\u007fete", "c1 \u0080\u0085\u009f end",
    "replacement \ufffd\ufffd char", "private \ue000\uf8ff \U000f0000 \U0010fffd", "nonchars \ufdd0 \ufffe\uffff \U0001ffff \U0010ffff",
    "unassigned \u0378 \u0380\u05ff \U0001f0ff \U000323b0 \U000e0fff", "object \ufffc \ufff9ab\ufffa", "braille \u2800\u2801\u28ff", "hangul filler \u3164 \u115f \uffa0",
    # Combining marks.
    "e\u0301 \u00e9 E\u0301 \u00c9", "a\u0300\u0301\u0302\u0303\u0304b", "\u0301alone", " \u0301 ", "o\u0323\u0302 o\u0302\u0323 \u1ed9", "q\u0307\u0323 q\u0323\u0307",
    "n\u0303 \u00f1", "A\u030a \u00c5 \u212b", "Z\u0351\u036b\u0343\u032a\u0302 z\u0334\u0335\u0336a\u0337l\u0338g\u0315o\u0489", "\u034f x\u034fy", "a\u20dd 1\ufe0f\u20e3 #\ufe0f\u20e3",
    "か\u3099 き\u3099 は\u309a ハ\u309a ウ\u3099 \u3099 \u309b", "\u1112\u1161\u11ab\u1100\u116e\u11a8 한국 \u3147\u314f", "\u1100 \u1161 \u11a8 \u1100\u1100\u1161", "\u0915\u093c \u0958 \u0a16\u0a3c",
    "\u0643\u064e\u062a\u064e\u0628\u064e \u0622 \u0627\u0653 \u0640\u0640", "\u05e9\u05c1\u05b8 \ufb2a\ufb4b \u05d0\u05b7", "\u0e19\u0e49\u0e33 \u0e19\u0e4d\u0e32", "x\u0338= \u2260 <\u0338 \u226e",
    # Case.
    "\u0130 \u0131 I i \u0130STANBUL", "\u1e9e \u00df \u017f \u212a K \u2126", "\u03a3 \u03c3 \u03c2 \u039f\u03a3 \u039f\u03a3\u039f\u03a3 \u03a3\u0301 A\u03a3. \u03a3\u03a3", "\u01c4\u01c5\u01c6 \u01f1\u01f2\u01f3 \u0149 \u01f0",
    "\u1f88\u1f80 \u1fb3 \u1ffc \u0345", "\ufb00\ufb01 \ufb03 \ufb06 \u0587", "\u10a0 \u2d00 \u1c90 \u10d0 \u13a0 \uab70", "\u2160\u2170 \u24b6\u24d0 \uff21\uff41 \U00010400\U00010428", "\u0400\u0450 \u0401\u0451 \u0419\u0439",
    # Emoji.
    "😀", "😀😀😀", "I ❤️ you", "❤ ❤\ufe0e ❤\ufe0f", "👍🏻👍🏿", "👨\u200d👩\u200d👧\u200d👦", "🏳️\u200d🌈 🏴\u200d☠️", "🇬🇧🇫🇷🇺🇳 🇬", "👩🏽\u200d🚀 👨🏿\u200d⚕️", "1️⃣2️⃣ #️⃣", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "so happy 😂😂😂 lol", "no😭way", "🤷🏼\u200d♀️ idk", "🫠🫶🫨 🪿", "☺️☹️✨⭐️🔥💯", "(╯°□°）╯︵ ┻━┻", "¯\\_(ツ)_/¯", "ʕ•ᴥ•ʔ", ":-) ;-P XD D: <3 </3 o_O ^_^ T_T", "🦄" * 60,
    # The web, code and markup.
    "https://example.com/path?q=1&lang=en#top", "http://user:pass@[::1]:8080/~x/%7Efoo%20bar", "mailto:jane.doe+tag@example.co.uk", "@someone #BlackCat #2024 #happy_days RT @x: hi", "www.example.org, example.net; ftp://a.b",
    "https://ja.wikipedia.org/wiki/日本語", "xn--bcher-kva.example bücher.example", "fn main() { println!(\"{:?}\", x[0] as u8 & 0xFF); }", "if (a<b && c>=d || !e) { return a->b::c; } // TODO", "SELECT * FROM t WHERE id != 'x''y' -- comment",
    "<p class=\"a\">Tom &amp; Jerry &lt;3 &#x1F600;</p><!-- no -->", "<script>alert('hi')</script>", "{\"key\": [1, 2.5e-3, null], \"a\\u0041\": \"\\n\"}", "def f(x): return x**2 if x else None", "$ rm -rf ./build && make -j8 2>&1 | tee log.txt", "C:\\Users\\me\\file.txt /usr/local/bin ../..",
    "**bold** _it_ `code` ~~no~~ [link](http://a.b) | table |", "\\frac{a}{b} \\sum_{i=0}^{n} x_i^2 \\neq \\infty", "#!/usr/bin/env python3", "^[a-z]+\\d{2,}(?:x|y)*$", "0x1F 1e-10 1_000 0b1010 .5 5. 1/2 12:30:59 2024-02-29T00:00:00Z", "192.168.0.1 fe80::1 +44 (0)20 7946 0958",
    # Punctuation and symbols.
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "“curly” ‘quotes’ «guillemets» „low“ ‚x‘ ‹y›", "– — ― ‐ ‑ ‒ − ﹣ －", "¡¿§¶†‡•‣․‥…‰‱′″‴※‼⁇⁈⁉⁊", "、。〃〈〉《》「」『』【】〒〓〔〕〖〗〜〝〞〟", "،؛؟٪٭۔ ।॥ ၊။ ።፣ ។៕ ᠀᠁ ׃׀",
    "€£¥₹₿₽₩¢¤ ƒ", "©®™ ℠ ° º ª µ μ", "←↑→↓↔⇒⇔ ∀∃∅∈∉∋∏∑√∞∫≈≠≡≤≥⊂⊃⊕⊗", "±×÷¬ ¹²³ ¼½¾ ‖ ∥ ‽ ⸘", "┌─┬┐│├┼┤└┴┘█▓▒░■□▲△◆◇○●◎★☆", "♠♣♥♦♩♪♫♬♭♯ ☀☁☂☃ ☎☏ ✓✔✗✘ ⚠", "a-b a–b a—b a−b a_b a.b a,b a'b a’b a·b a/b a\\b a|b a~b a^b a`b", "$5 5$ £5 5€ 5% #5 5# @5 +5 5+ =5 <5> ~5 ^5 `5`",
    "wait...what?!?! no!!!!!!", "''''\"\"\"\"", "(((deep)))", "--- *** ___ ===", "3:00-4:00pm (GMT+1); approx. ~10%", "don't DON'T don’t don`t don´t donʼt", "rock'n'roll 'tis 'n' y'all'd've",
    # Words around the tokenizer's limit of 100 characters.
    "a" * 99, "a" * 100, "a" * 101, "a" * 500, "é" * 100, "é" * 101, "e\u0301" * 100, "ß" * 101, "İ" * 60, "word " + "x" * 150 + " word", "文" * 150, "한" * 40, "-" * 120, "ab" * 50 + "c", "\u200b".join("y" * 100), "\u0301" * 200, "q" * 100 + "." + "q" * 101,
    "https://example.com/" + "verylongpathsegment" * 12, "no" + "o" * 97 + "!", "👍" * 101, "ก" * 101, "𠀀" * 101,
]  # fmt: skip


def sentence(dice):
    parts = [dice.pick(SUBJECTS), dice.pick(VERBS), dice.pick(OBJECTS)]
    text = " ".join(parts)
    if dice.chance(60):
        tail = dice.pick(TAILS)
        text += tail if tail.startswith(",") else " " + tail
    if dice.chance(20):
        text += f" because {dice.pick(SUBJECTS)} {dice.pick(VERBS)} {dice.pick(OBJECTS)}"
    case = dice.below(10)
    if case == 0:
        text = text.upper()
    elif case > 2:
        text = text[0].upper() + text[1:]
    return text + dice.pick(ENDS)


def paragraph(dice, words):
    text = sentence(dice)
    while len(text.split()) < words:
        text += dice.pick([" ", " ", "\n", "  "]) + sentence(dice)
    return " ".join(text.split(" ")[:words]) if dice.chance(50) else text


def script_forms():
    for text in SCRIPTS:
        yield text
        for form in ("NFC", "NFD", "NFKC", "NFKD"):
            yield unicodedata.normalize(form, text)
        yield text.upper()
        yield text.lower()
        yield text.replace(" ", "")


def mixtures(dice, count):
    """Joins pieces of every kind, with and without spaces, to test boundaries between scripts."""
    pieces = WORDS + [piece for text in SPECIAL + SCRIPTS if len(text) < 80 for piece in text.split(" ")]
    for _ in range(count):
        text = ""
        for _ in range(dice.between(2, 9)):
            text += dice.pick(pieces) + dice.pick(["", "", " ", " ", ", ", "\n", "-"])
        yield text


def around(point):
    c = chr(point)
    return f"a{c}b {c} {c}{c}"


def sweep(dice):
    """Yields the first, the last and two other code points of every Unicode block."""
    for first, last in blocks():
        inner = {dice.between(first, last), dice.between(first, last)}
        for point in sorted({first, last} | inner):
            yield around(point)


def controls():
    """Yields every ASCII and Latin-1 code point, and all spaces, directional marks and joiners."""
    ranges = [(0x00, 0xFF), (0x2000, 0x206F), (0xFFF0, 0xFFFF), (0xFE00, 0xFE0F)]
    for first, last in ranges:
        for point in range(first, last + 1):
            yield around(point)


def unique(texts):
    return list(dict.fromkeys(texts))


def token_texts():
    """Returns texts of every kind for the tokenizer, from empty to about a thousand tokens."""
    dice = Dice(2026)
    texts = WORDS + SPECIAL + feeling() + list(script_forms())
    texts += [sentence(dice) for _ in range(300)]
    texts += [paragraph(dice, words) for words in range(20, 120, 4)]
    texts += [paragraph(dice, words) for words in (200, 300, 380, 400, 420, 450, 500, 600, 800)]
    # Around the limit of 512 tokens, where a test may truncate.
    texts += ["word " * count for count in (508, 509, 510, 511, 512, 600)]
    texts += list(mixtures(dice, 300)) + list(sweep(dice)) + list(controls())
    return unique(texts)


def classifier_texts():
    """Returns texts for the bundled classifier: mostly ordinary ones, and some of every other kind."""
    dice = Dice(7)
    texts = feeling() + WORDS[:12] + SPECIAL[::6] + SCRIPTS[::3]
    texts += [sentence(dice) for _ in range(30)]
    texts += [" ".join(dice.pick(feeling()) for _ in range(count)) for count in (2, 3, 5, 8, 12, 20, 30)]
    texts += [paragraph(dice, words) for words in (40, 80, 160, 300, 480, 700)]
    texts += ["word " * count for count in (510, 511)]
    texts += list(mixtures(dice, 12))
    return unique(texts + [around(point) for point in (0x00, 0x07, 0x7F, 0x9F, 0x200B, 0x2028, 0xE000, 0xFFFE)])


def explained_texts():
    """Returns some of the sentences, and texts that test word offsets."""
    return feeling()[::9] + [
        "I can't believe we won!",
        "no",
        "Café Zoë\u2019s unbelievably good, isn't it?!",
        "",
        "not happy \u2014 not at all \U0001f600",
        "<b>\"Great\"</b> & wonderful",
    ]
