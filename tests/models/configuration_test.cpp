// Lying, unknown and missing configuration: one clear error each, which names the key or tensor; nothing
// allocated.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <ostream>

#include "golden_model.h"

namespace tessera::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

struct Edit {
  std::string what;   // name of the case
  std::string model;  // golden model whose config.json is edited
  std::string from;   // text to replace; must be there
  std::string to;
  ErrorKind kind;
  std::vector<std::string> named;  // what the error must say
  friend void PrintTo(const Edit& edit, std::ostream* out) { *out << edit.what; }
};

constexpr auto kBad = ErrorKind::bad_input;
constexpr auto kUnsupported = ErrorKind::unsupported;

const std::vector<Edit>& edits() {
  static const std::vector<Edit> cases = {
      {"UnknownArchitecture",
       "llama",
       "LlamaForCausalLM",
       "FancyForCausalLM",
       kUnsupported,
       {"FancyForCausalLM", "LlamaForCausalLM"}},
      {"UnknownActivation",
       "llama",
       R"("hidden_act": "silu")",
       R"("hidden_act": "mish")",
       kUnsupported,
       {"config.json", "hidden_act", "mish"}},
      {"UnknownRopeType",
       "llama",
       R"("rope_type": "default")",
       R"("rope_type": "wavelet")",
       kUnsupported,
       {"rope_parameters.rope_type", "wavelet"}},
      {"UnknownOldRopeType",
       "llama_linear",
       R"("type": "linear")",
       R"("type": "mrope")",
       kUnsupported,
       {"rope_scaling.type", "mrope"}},
      {"Quantised",
       "llama",
       R"("hidden_size")",
       R"("quantization_config": {"quant_method": "gptq"}, "hidden_size")",
       kUnsupported,
       {"quantization_config", "gptq"}},
      {"UnknownLayerType",
       "qwen2",
       R"("full_attention",)",
       R"("chunked_attention",)",
       kUnsupported,
       {"layer_types", "chunked_attention"}},
      {"TooFewLayerTypes", "qwen2", R"("full_attention",)", "", kBad, {"layer_types", "2 layers"}},
      {"Bidirectional",
       "gemma3",
       R"("use_bidirectional_attention": false)",
       R"("use_bidirectional_attention": true)",
       kUnsupported,
       {"use_bidirectional_attention"}},
      {"CrossAttention",
       "gpt2",
       R"("add_cross_attention": false)",
       R"("add_cross_attention": true)",
       kUnsupported,
       {"add_cross_attention"}},
      {"Gemma3WithCap",
       "gemma3",
       R"("attn_logit_softcapping": null)",
       R"("attn_logit_softcapping": 50.0)",
       kUnsupported,
       {"attn_logit_softcapping"}},
      {"MissingSize", "llama", R"("hidden_size": 32,)", "", kBad, {"config.json", "hidden_size"}},
      {"SizeIsText",
       "llama",
       R"("hidden_size": 32)",
       R"("hidden_size": "32")",
       kBad,
       {"hidden_size", "integer"}},
      {"SizeIsZero",
       "llama",
       R"("hidden_size": 32)",
       R"("hidden_size": 0)",
       kBad,
       {"hidden_size", "found 0"}},
      {"SizeIsNegative",
       "llama",
       R"("intermediate_size": 24)",
       R"("intermediate_size": -24)",
       kBad,
       {"intermediate_size", "-24"}},
      {"SizeIsHuge",
       "llama",
       R"("hidden_size": 32)",
       R"("hidden_size": 4000000000000)",
       kBad,
       {"hidden_size"}},
      {"SizeIsAnother",
       "llama",
       R"("intermediate_size": 24)",
       R"("intermediate_size": 16777216)",
       kBad,
       {"gate_proj.weight", "[16777216, 32]", "[24, 32]"}},
      {"VocabularyIsAnother",
       "llama",
       R"("vocab_size": 67)",
       R"("vocab_size": 68)",
       kBad,
       {"embed_tokens.weight", "[68, 32]", "[67, 32]"}},
      {"VocabularyIsHuge",
       "llama",
       R"("vocab_size": 67)",
       R"("vocab_size": 9223372036854775807)",
       kBad,
       {"vocab_size"}},
      {"TooManyLayers",
       "llama",
       R"("num_hidden_layers": 2)",
       R"("num_hidden_layers": 16000)",
       kBad,
       {"model.layers.2.", "no such tensor"}},
      {"MoreLayersThanAnyModel",
       "llama",
       R"("num_hidden_layers": 2)",
       R"("num_hidden_layers": 2000000000)",
       kBad,
       {"num_hidden_layers"}},
      {"TooFewLayers",
       "llama",
       R"("num_hidden_layers": 2)",
       R"("num_hidden_layers": 1)",
       kUnsupported,
       {"model.layers.1."}},
      {"HeadsDoNotDivide",
       "qwen2",
       R"("num_attention_heads": 4)",
       R"("num_attention_heads": 5)",
       kBad,
       {"num_key_value_heads", "divisor"}},
      {"KeyHeadsDoNotDivide",
       "llama",
       R"("num_key_value_heads": 2)",
       R"("num_key_value_heads": 3)",
       kBad,
       {"num_key_value_heads", "found 3"}},
      {"HeadsOfGpt2DoNotDivide", "gpt2", R"("n_head": 4)", R"("n_head": 5)", kBad, {"n_head"}},
      {"OddHead", "llama", R"("head_dim": 8)", R"("head_dim": 7)", kBad, {"7"}},
      {"EpsilonIsZero",
       "llama",
       R"("rms_norm_eps": 1e-05)",
       R"("rms_norm_eps": 0.0)",
       kBad,
       {"rms_norm_eps"}},
      {"EpsilonIsNegative",
       "gpt2",
       R"("layer_norm_epsilon": 1e-05)",
       R"("layer_norm_epsilon": -1e-05)",
       kBad,
       {"layer_norm_epsilon"}},
      {"BaseIsZero", "llama", R"("rope_theta": 10000.0)", R"("rope_theta": 0)", kBad, {"rope_theta"}},
      {"PositionsAreHuge",
       "llama",
       R"("max_position_embeddings": 64)",
       R"("max_position_embeddings": 1099511627776)",
       kBad,
       {"max_position_embeddings"}},
      {"LearnedPositionsLie",
       "gpt2",
       R"("n_positions": 64)",
       R"("n_positions": 1000000000)",
       kBad,
       {"wpe.weight"}},
      {"BiasThatIsNotThere",
       "llama",
       R"("attention_bias": false)",
       R"("attention_bias": true)",
       kBad,
       {"q_proj.bias", "no such tensor"}},
      {"BiasNobodyAskedFor",
       "llama_biases",
       R"("mlp_bias": true)",
       R"("mlp_bias": false)",
       kUnsupported,
       {"_proj.bias"}},
      {"TiedIsText",
       "llama",
       R"("tie_word_embeddings": false)",
       R"("tie_word_embeddings": "no")",
       kBad,
       {"tie_word_embeddings", "boolean"}},
      {"LinearWithoutFactor",
       "llama",
       R"("rope_type": "default")",
       R"("rope_type": "linear")",
       kBad,
       {"factor"}},
      {"Llama3Backwards",
       "llama_llama3",
       R"("high_freq_factor": 4.0)",
       R"("high_freq_factor": 0.5)",
       kBad,
       {"high_freq_factor"}},
      {"LongropeFactorsMissing",
       "phi3_short",
       R"("short_factor")",
       R"("shirt_factor")",
       kBad,
       {"short_factor"}},
      {"LongropeFactorsNotNumbers", "phi3_short", "1.3", "-1.3", kBad, {"short_factor"}},
      {"LongropeFactorsTooFew", "phi3_short", "1.0,\n   2.0,", "2.0,", kBad, {"long_factor", "3"}},
      {"NoRopeLayersTooFew",
       "smollm3",
       R"("no_rope_layers": [)",
       R"("no_rope_layers": [1], "other": [)",
       kBad,
       {"no_rope_layers"}},
      {"RotatesMoreThanAll",
       "phi3_long",
       R"("partial_rotary_factor": 0.75)",
       R"("partial_rotary_factor": 1.75)",
       kBad,
       {"partial_rotary_factor"}},
      {"UnknownAttentionMechanism",
       "llama",
       R"("hidden_act")",
       R"("attention_mechanism": "psychic", "hidden_act")",
       kUnsupported,
       {"attention_mechanism", "flash", "psychic"}},
      {"AttentionMechanismsTooFew",
       "gpt2",
       R"("activation_function")",
       R"("attention_mechanisms": ["dense"], "activation_function")",
       kBad,
       {"attention_mechanisms", "found 1"}},
      {"NoAttentionWindow",
       "llama",
       R"("hidden_act")",
       R"("attention_mechanism": "sliding_window", "hidden_act")",
       kBad,
       {"attention_window", "a number of tokens"}},
      {"AttentionWindowOfNobody",
       "llama",
       R"("hidden_act")",
       R"("attention_mechanism": "flash", "attention_window": 4, "hidden_act")",
       kBad,
       {"attention_window", "has this setting"}},
      {"MoreColumnsThanStride",
       "llama",
       R"("hidden_act")",
       R"("attention_mechanism": "sparse_fixed", "attention_stride": 4, "attention_columns": 5, "hidden_act")",
       kBad,
       {"attention_columns", "from 0 to 4", "5"}},
      {"HeadsThatAreNoPattern",
       "llama",
       R"("hidden_act")",
       R"("attention_mechanism": "sparse_heads", "attention_heads": ["flash"], "hidden_act")",
       kBad,
       {"attention_heads", "sparse_local", "flash"}},
      {"NoHeads",
       "llama",
       R"("hidden_act")",
       R"("attention_mechanism": "sparse_heads", "hidden_act")",
       kBad,
       {"attention_heads", "found none"}},
      {"NoBlock",
       "llama",
       R"("hidden_act")",
       R"("attention_mechanism": "bigbird", "attention_block": 0, "hidden_act")",
       kBad,
       {"attention_block", "found 0"}},
      {"NoChoiceOfAttention",
       "gemma2",
       R"("hidden_size")",
       R"("attention_mechanism": "dense", "hidden_size")",
       kUnsupported,
       {"attention_mechanism", "gemma2"}},
      {"OddPlainWidth",
       "plain_transformer",
       R"("hidden_size": 32)",
       R"("hidden_size": 4)",
       kBad,
       {"embed_tokens.weight"}},
  };
  return cases;
}

class Configurations : public ::testing::TestWithParam<Edit> {};

TEST_P(Configurations, AreRejectedByName) {
  const Edit& edit = GetParam();
  TemporaryFolder folder;
  for (const auto& entry : fs::directory_iterator(golden_models_dir() / edit.model)) {
    fs::copy(entry.path(), folder.path() / entry.path().filename());
  }
  const fs::path path = folder.path() / "config.json";
  std::string config = read_file(path.string());
  const std::size_t at = config.find(edit.from);
  ASSERT_NE(at, std::string::npos) << config;
  config.replace(at, edit.from.size(), edit.to);
  std::ofstream(path) << config;
  try {
    load_model(folder.path());
    FAIL() << "it loaded";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), edit.kind) << error.what();
    for (const std::string& name : edit.named) EXPECT_THAT(error.what(), HasSubstr(name));
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << error.what();
  }
}
std::string case_name(const ::testing::TestParamInfo<Edit>& info) { return info.param.what; }
INSTANTIATE_TEST_SUITE_P(All, Configurations, ::testing::ValuesIn(edits()), case_name);

// Short and long contexts of longrope: what is served follows what the caller means to run.
TEST(Longrope, SaysHowLongAContextItsFrequenciesServe) {
  const fs::path path = golden_models_dir() / "phi3_short";
  EXPECT_EQ(load_model(path)->config().max_position_embeddings, 32);
  EXPECT_EQ(load_model(path, 32)->config().max_position_embeddings, 32);
  EXPECT_EQ(load_model(path, 33)->config().max_position_embeddings, 128);
}

TEST(LayerConfig, SaysWhichLayersSlide) {
  const auto windows = [](const std::string& name) {
    std::vector<std::int64_t> found;
    const auto model = load_model(golden_models_dir() / name);
    for (const auto& layer : model->config().layers) found.push_back(layer.sliding_window);
    return found;
  };
  using Windows = std::vector<std::int64_t>;
  EXPECT_EQ(windows("llama"), (Windows{0, 0}));
  EXPECT_EQ(windows("mistral"), (Windows{8, 8}));
  EXPECT_EQ(windows("mistral.gguf"), (Windows{8, 8}));
  EXPECT_EQ(windows("qwen2_sliding"), (Windows{0, 8}));
  EXPECT_EQ(windows("gemma2.gguf"), (Windows{8, 0}));
  EXPECT_EQ(windows("gemma3"), (Windows{8, 8, 8, 8, 8, 0}));
  EXPECT_EQ(windows("gemma3.gguf"), (Windows{8, 8, 8, 8, 8, 0}));
  EXPECT_EQ(windows("gemma3_scaled"), (Windows{8, 8, 0}));
}

}  // namespace
}  // namespace tessera::testing
