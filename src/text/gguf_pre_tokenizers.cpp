#include "text/gguf_pre_tokenizers.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/error.h"
#include "text/unicode.h"

namespace tessera::text {
namespace {

// The patterns are those of the models' own tokenizer files. Each step cuts the pieces of the step before it.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kNoContractions =
    R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kMiniCpm5 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kJais2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1})";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kYoutu =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kYoutuAsian =
    "[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-"
    "\u303f\ufe30-\ufe4f]+|"
    "[\u3105-\u312f]+|[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Nothing follows the letters, so giving none of them back changes no match and needs no stack.
constexpr std::string_view kExaoneMoe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*+(?: \p{L}\p{M}*+)*+)++|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepSeek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kSpark =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepSeekHan = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
constexpr std::string_view kDeepSeekAsian = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";
constexpr std::string_view kDeepSeekLetters =
    R"(\s?[A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293}\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a}\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f}\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d}\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d}\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc}\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc}\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124}\x{2126}\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4}\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}\x{a722}-\x{a76f}\x{a771}-\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17}\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df}\x{1e900}-\x{1e943}]+)";
constexpr std::string_view kDeepSeekSymbols =
    R"(\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+)";
constexpr std::string_view kBloom = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+";
constexpr std::string_view kAfmoeAsian =
    "[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-"
    "\u0e7f\u0e80-\u0eff"
    "\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+";

// Steps that are no pattern.
constexpr std::string_view kEachNumber = "<each number>";
constexpr std::string_view kNumbers = "<numbers>";
constexpr std::string_view kPunctuation = "<punctuation>";
constexpr std::string_view kTrailingSpaces = "<trailing spaces>";
constexpr std::string_view kGroupNumbers = "<numbers in threes from the right>";
constexpr std::string_view kCutBeforeThrees = "<before digits in threes>";
constexpr std::string_view kGroupDigitsOfWord = "<digits in threes from the right, before a word border>";
constexpr std::string_view kKimi = "<kimi>";  // GPT-4o's pattern with Han apart

struct Kind {
  std::string_view names;  // separated by spaces
  std::array<std::string_view, 6> steps;
  bool ignore_merges = false;
  bool add_bos = false;
  bool add_separator = false;
  bool nfc = false;
  bool sentencepiece = false;  // spaces are U+2581, bytes are <0xNN>
};

constexpr Kind kKinds[] = {
    {"default", {kPunctuation, kGpt2, kNumbers, "[0-9][0-9][0-9]"}},
    {"llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", {kLlama3}, true, true},
    {"dbrx smaug-bpe glm4 chatglm-bpe", {kLlama3}},
    {"jais-2", {kJais2}},
    {"deepseek-llm",
     {"[\r\n]", kDeepSeekLetters, kDeepSeekSymbols, kTrailingSpaces, kDeepSeekAsian, kNumbers}},
    {"deepseek-coder", {"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepSeekAsian, kEachNumber}},
    {"deepseek-v3 hunyuan-dense joyai-llm hy_v4", {R"(\p{N}{1,3})", kDeepSeekHan, kDeepSeek3}},
    {"spark2_5", {R"(\p{N}{1,3})", kDeepSeekHan, kSpark, kEachNumber}},
    {"youtu", {kYoutuAsian, kYoutu}, true},
    {"falcon", {kPunctuation, kGpt2, "[0-9][0-9][0-9]"}},
    {"starcoder refact smollm codeshell exaone minerva-7b mellum2", {kEachNumber, kGpt2}},
    {"command-r", {kEachNumber, kGpt2}, false, false, false, true},
    {"gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert jais trillion "
     "granite-docling exaone4",
     {kGpt2}},
    {"mpt olmo", {kGpt2}, false, false, false, true},
    {"jina-v1-en jina-v2-code roberta-bpe", {kGpt2}, false, true, true},
    {"qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2", {kQwen2}, false, false, false, true},
    {"hunyuan solar-open grok-2 bailingmoe bailingmoe2 llada-moe", {kQwen2}},
    {"qwen35", {kQwen35}, false, false, false, true},
    {"ufakzeka", {kNoContractions}},
    {"seed-coder", {kSeedCoder}},
    {"minicpm5", {R"(\p{N}{1,3})", kMiniCpm5}, true},
    {"laguna", {R"([^\n]+|[\n]+)", kQwen2}},
    {"poro-chat bloom gpt3-finnish", {kBloom}},
    {"viking", {kBloom, kEachNumber}},
    {"tekken", {kTekken}, true, true},
    {"chameleon",
     {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", R"(([\t\n]|    |  ))", kEachNumber,
      R"([\p{P}!-/:-@\[-`{-~])", kGpt2},
     false,
     true},
    {"gpt-4o llama4 kanana2 talkie minimax-m2", {kGpt4o}},
    {"granite-embed-multi-97m", {kGpt4o}, true},
    {"tiny_aya cohere2moe", {kGroupDigitsOfWord, kGpt4o}},
    {"kimi-k2", {kKimi}},
    {"superbpe", {kNumbers, kCutBeforeThrees}},
    {"afmoe", {kGroupNumbers, kAfmoeAsian, kDeepSeek3}},
    {"exaone-moe", {kExaoneMoe}},
    {"gemma4 granite-embed-multi-311m", {}, false, true, false, false, true},
    {"sarvam-moe", {}, false, false, false, false, true},
};

bool names_contain(std::string_view names, std::string_view wanted) {
  while (!names.empty()) {
    const std::size_t end = std::min(names.find(' '), names.size());
    if (names.substr(0, end) == wanted) return true;
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return false;
}

PreTokenizerStep make_step(std::string_view step, const std::string& where) {
  if (step == kEachNumber)
    return SplitCharacters{.is_match = is_numeric, .behavior = SplitBehavior::isolated};
  if (step == kNumbers) return SplitCharacters{.is_match = is_numeric, .behavior = SplitBehavior::contiguous};
  if (step == kPunctuation)
    return SplitCharacters{.is_match = is_punctuation, .behavior = SplitBehavior::contiguous};
  if (step == kTrailingSpaces) return TrailingSpaces{};
  if (step == kGroupNumbers) return GroupDigitsFromRight{};
  if (step == kCutBeforeThrees) return CutBeforeThrees{};
  if (step == kGroupDigitsOfWord)
    return GroupDigitsFromRight{.decimal_only = true, .before_word_border = true};
  SplitPattern split;
  if (step == kKimi) {
    split.word_pattern = parse_word_pattern(kGpt4o);
    split.word_pattern->newlines_or_slashes = false;
    split.word_pattern->han_runs = true;
  } else {
    split.word_pattern = parse_word_pattern(step);
    if (!split.word_pattern) split.regex = std::make_shared<Regex>(step, where);
  }
  return split;
}

}  // namespace

GgufPreTokenizer make_gguf_pre_tokenizer(std::string_view kind, const std::string& where) {
  const Kind* found = std::find_if(std::begin(kKinds), std::end(kKinds),
                                   [&](const Kind& one) { return names_contain(one.names, kind); });
  if (found == std::end(kKinds) || kind.empty()) {
    fail(ErrorKind::unsupported, "{}: expected a pre-tokenizer that this build knows, found '{}'", where,
         printable(kind));
  }
  GgufPreTokenizer result;
  for (const std::string_view step : found->steps) {
    if (!step.empty()) result.pre_tokenizer.add(make_step(step, where));
  }
  result.ignore_merges = found->ignore_merges;
  result.add_bos = found->add_bos;
  result.add_separator = found->add_separator;
  result.byte_level = !found->sentencepiece;
  if (found->nfc) result.normalizer.add(UnicodeForm{NormalForm::nfc});
  if (found->sentencepiece) {
    result.normalizer.add(Replace{.literal = " ", .regex = nullptr, .content = "\xe2\x96\x81"});
  } else {
    result.pre_tokenizer.add(ByteLevelWords{.add_prefix_space = false, .use_regex = false});
  }
  result.pre_tokenizer.finish();
  return result;
}

std::vector<std::string> gguf_pre_tokenizer_kinds() {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) names.emplace_back(kind.names.substr(0, kind.names.find(' ')));
  return names;
}

}  // namespace tessera::text
