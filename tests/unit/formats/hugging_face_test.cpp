#include "formats/hugging_face.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/atomic_file.h"
#include "base/error.h"
#include "formats/open_model_files.h"
#include "formats/safetensors_writer.h"
#include "support/error_of.h"
#include "support/test_paths.h"

namespace tessera::formats {
namespace {

using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;

Metadata config(const std::string& text) {
  return read_hugging_face_config(MappedFile::from_bytes("config.json", text));
}

TEST(HuggingFaceConfig, NestedObjectsBecomeDottedKeys) {
  const Metadata c =
      config(R"({"a": 1, "rope_scaling": {"factor": 8.0, "deep": {"x": "y"}}, "n": null, "t": true,
                               "text_config": {"vocab_size": 100}})");
  EXPECT_EQ(c.require_int("a"), 1);
  EXPECT_EQ(c.require_float("rope_scaling.factor"), 8.0);
  EXPECT_EQ(c.require_string("rope_scaling.deep.x"), "y");
  EXPECT_EQ(c.require_int("text_config.vocab_size"), 100);
  EXPECT_EQ(c.find_bool("t"), true);
  EXPECT_FALSE(c.contains("n"));
  EXPECT_FALSE(c.contains("rope_scaling"));
  EXPECT_EQ(c.entries().at("a").offset, 6U);
}

TEST(HuggingFaceConfig, IntegersWrittenAsFloatsAreIntegers) {
  const Metadata c =
      config(R"({"a": 1e6, "b": 4096.0, "c": 1e-6, "d": 0.1, "e": 9223372036854775807, "f": 1e300,
                               "g": 18446744073709551616, "h": -0.0})");
  EXPECT_EQ(c.require_int("a"), 1'000'000);
  EXPECT_EQ(c.require_float("a"), 1e6);
  EXPECT_EQ(c.require_int("b"), 4096);
  EXPECT_EQ(c.require_float("c"), 1e-6);
  EXPECT_EQ(c.require_float("d"), 0.1);
  EXPECT_EQ(c.require_int("e"), INT64_MAX);
  EXPECT_EQ(c.require_float("f"), 1e300);
  EXPECT_EQ(c.require_float("g"), 18446744073709551616.0);
  EXPECT_EQ(c.require_int("h"), 0);
}

TEST(HuggingFaceConfig, ArraysKeepTheirKindOrAreIndexed) {
  const Metadata c = config(R"({"s": ["x", "y"], "i": [1, 2.0], "f": [1, 2.5], "b": [true, false], "none": [],
                               "mixed": [1, "two", null], "objects": [{"k": 1}, {"k": [3, 4]}], "nested": [[1, 2], [3]]})");
  EXPECT_EQ(*c.find_strings("s"), (Metadata::StringArray{"x", "y"}));
  EXPECT_EQ(*c.find_ints("i"), (Metadata::IntegerArray{1, 2}));
  EXPECT_EQ(*c.find_floats("f"), (Metadata::FloatArray{1, 2.5}));
  EXPECT_EQ(std::get<Metadata::BoolArray>(c.entries().at("b").value), (Metadata::BoolArray{true, false}));
  EXPECT_EQ(c.find_ints("none"), nullptr);
  EXPECT_EQ(c.require_int("mixed.0"), 1);
  EXPECT_EQ(c.require_string("mixed.1"), "two");
  EXPECT_EQ(c.require_int("objects.0.k"), 1);
  EXPECT_EQ(*c.find_ints("objects.1.k"), (Metadata::IntegerArray{3, 4}));
  EXPECT_EQ(*c.find_ints("nested.1"), (Metadata::IntegerArray{3}));
}

TEST(HuggingFaceConfig, StringsAreUnescaped) {
  const Metadata c = config(R"({"k\u00e9y": "a\n\"\ud83d\ude42"})");
  EXPECT_EQ(c.require_string("kéy"), "a\n\"🙂");
}

TEST(HuggingFaceConfig, RejectsWhatIsNoConfiguration) {
  EXPECT_THAT(error_of([] { config(""); }), HasSubstr("config.json: JSON at byte 0: expected valid JSON"));
  EXPECT_THAT(error_of([] { config("[1]"); }), HasSubstr("expected an object, found an array"));
  EXPECT_THAT(error_of([] { config("{\"a\": 1"); }), HasSubstr("config.json: JSON at byte"));
  EXPECT_THAT(error_of([] { config("{\"a\": tru}"); }), HasSubstr("config.json: "));
  EXPECT_THAT(error_of([] { config("{\"a\": 01}"); }), HasSubstr("config.json: "));
  EXPECT_THAT(error_of([] { config("{\"a\": 1} x"); }), HasSubstr("config.json: JSON at byte"));
  EXPECT_THAT(error_of([] { config(R"({"a": 1, "a": 2})"); }),
              HasSubstr("key 'a' at byte 14: expected each key once"));
  EXPECT_THAT(error_of([] { config(R"({"a": {"b": 1}, "a.b": 2})"); }), HasSubstr("key 'a.b'"));
}

TEST(HuggingFaceConfig, StaysSmallWhateverTheNesting) {
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += R"({"a":)";
  EXPECT_THAT(error_of([&] { config(deep + "1" + std::string(1000, '}')); }), HasSubstr("config.json: "));
  std::string many = R"({"long)" + std::string(400, 'x') + R"(": {)";
  for (int i = 0; i < 70'000; ++i) many += fmt::format("{}\"k{}\": 1", i == 0 ? "" : ",", i);
  EXPECT_THAT(error_of([&] { config(many + "}}"); }), HasSubstr("expected at most 65536 keys"));
  const std::string longer = R"({"x": {")" + std::string(600, 'k') + R"(": 1}})";
  EXPECT_THAT(error_of([&] { config(longer); }), HasSubstr("expected a key of at most 512 bytes, found 601"));
}

class HuggingFaceFolder : public ::testing::Test {
 protected:
  std::string path(const std::string& name = "") const { return (folder_.path() / name).string(); }
  void write(const std::string& name, std::string_view text) const {
    write_file_atomically(path(name), text);
  }
  void write_config() const {
    write("config.json", R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 4})");
  }
  // A shard with one tensor of one value.
  void write_shard(const std::string& file, const std::string& tensor, float value) const {
    SafetensorsWriter writer;
    writer.add_tensor(tensor, Tensor::from_values({1}, std::vector<float>{value}));
    writer.write(path(file));
  }
  void write_index(std::string_view weight_map) const {
    write("model.safetensors.index.json",
          fmt::format(R"({{"metadata": {{"total_size": 8}}, "weight_map": {}}})", weight_map));
  }

 private:
  testing::TemporaryFolder folder_;
};

TEST_F(HuggingFaceFolder, OpensShardsByTheirIndex) {
  write_config();
  write_shard("model-00001-of-00002.safetensors", "a", 1.0F);
  write_shard("model-00002-of-00002.safetensors", "b", 2.0F);
  write_index(R"({"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"})");
  const ModelFiles files = open_model_files(path());
  ASSERT_NE(files.weights, nullptr);
  EXPECT_EQ(files.weights->load("a").as<float>()[0], 1.0F);
  EXPECT_EQ(files.weights->load("b").as<float>()[0], 2.0F);
  EXPECT_THAT(files.weights->find("b")->file, HasSubstr("model-00002-of-00002.safetensors"));
  EXPECT_EQ(files.weights->naming(), NamingScheme::hugging_face);
}

TEST_F(HuggingFaceFolder, RejectsAnIndexThatLies) {
  write_config();
  write_shard("one.safetensors", "a", 1.0F);
  write_shard("two.safetensors", "a", 2.0F);
  const auto error = [&](std::string_view weight_map) {
    write_index(weight_map);
    return error_of([&] { open_model_files(path()); });
  };
  EXPECT_THAT(error(R"({"b": "one.safetensors"})"),
              AllOf(HasSubstr("tensor 'b' at byte"), HasSubstr("no such tensor")));
  EXPECT_THAT(error(R"({"a": "three.safetensors"})"), HasSubstr("three.safetensors: cannot open"));
  EXPECT_THAT(error(R"({"a": "../one.safetensors"})"),
              HasSubstr("a file beside the index, found '../one.safetensors'"));
  EXPECT_THAT(error(R"({"a": "/etc/passwd"})"), HasSubstr("a file beside the index"));
  EXPECT_THAT(error(R"({"a": ".."})"), HasSubstr("a file beside the index"));
  EXPECT_THAT(error(R"({"a": 3})"), HasSubstr("expected a string, found a number"));
  EXPECT_THAT(error(R"({"a": "one.safetensors", "a": "two.safetensors"})"),
              HasSubstr("expected each tensor once"));
  EXPECT_THAT(error(R"({"a": "one.safetensors", "b": "two.safetensors"})"),
              HasSubstr("expected one tensor of this name"));
  EXPECT_THAT(error("{}"), HasSubstr("key 'weight_map'"));
  EXPECT_THAT(error("[]"), HasSubstr("expected an object, found an array"));
}

TEST_F(HuggingFaceFolder, TiedWeightsAreFoundByEitherName) {
  write_config();
  SafetensorsWriter writer;
  writer.set_metadata("format", "pt");
  writer.set_metadata("model.embed_tokens.weight", "lm_head.weight");
  writer.add_tensor("lm_head.weight", Tensor::from_values({1}, std::vector<float>{7.0F}));
  writer.write(path("model.safetensors"));
  const ModelFiles files = open_model_files(path());
  EXPECT_EQ(files.weights->tensors().size(), 1U);
  EXPECT_EQ(files.weights->load("model.embed_tokens.weight").raw(),
            files.weights->load("lm_head.weight").raw());
  EXPECT_EQ(files.weights->find("format"), nullptr);
}

TEST_F(HuggingFaceFolder, ASingleFileTakesTheConfigBesideIt) {
  write_shard("odd name.safetensors", "a", 1.0F);
  EXPECT_THAT(error_of([&] { open_model_files(path("odd name.safetensors")); }),
              HasSubstr("config.json: cannot open"));
  write_config();
  EXPECT_EQ(open_model_files(path("odd name.safetensors")).weights->architecture(), "LlamaForCausalLM");
}

TEST_F(HuggingFaceFolder, ChatTemplatesComeFromTheFileOrTheTokenizerConfig) {
  write("tokenizer.json", "{}");
  EXPECT_FALSE(open_model_files(path()).chat_template.has_value());
  write("tokenizer_config.json", R"({"bos_token": "<s>", "chat_template": "{{ a }}\n"})");
  EXPECT_EQ(open_model_files(path()).chat_template, "{{ a }}\n");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "T"},
                                                      {"template": "D", "name": "default"}]})");
  EXPECT_EQ(open_model_files(path()).chat_template, "D");
  write("tokenizer_config.json", R"({"chat_template": null})");
  EXPECT_FALSE(open_model_files(path()).chat_template.has_value());
  write("tokenizer_config.json", R"({"chat_template": 3})");
  EXPECT_THAT(error_of([&] { open_model_files(path()); }), HasSubstr("key 'chat_template' at byte"));
  write("chat_template.jinja", "{{ file }}");
  EXPECT_EQ(open_model_files(path()).chat_template, "{{ file }}");
}

TEST_F(HuggingFaceFolder, ATokenizerAloneHasNoWeights) {
  write("tokenizer.json", "{}");
  write("tokenizer_config.json", "{}");
  for (const std::string& which : {path(), path("tokenizer.json")}) {
    const ModelFiles files = open_model_files(which);
    EXPECT_EQ(files.weights, nullptr);
    EXPECT_EQ(std::filesystem::path(files.tokenizer_json), std::filesystem::path(path("tokenizer.json")));
    EXPECT_FALSE(files.tokenizer_config.empty());
    EXPECT_THAT(error_of([&] { require_weights(files); }), HasSubstr("found"));
  }
}

TEST_F(HuggingFaceFolder, SaysWhatItExpectedWhereThereIsNoModel) {
  EXPECT_THAT(error_of([&] { open_model_files(path()); }), HasSubstr("expected model.safetensors"));
  EXPECT_THAT(error_of([&] { open_model_files(path("none.gguf")); }), HasSubstr("none.gguf: cannot open"));
  write("pytorch_model.bin", "PK\3\4...");
  EXPECT_THAT(error_of([&] { open_model_files(path("pytorch_model.bin")); }),
              HasSubstr("expected a GGUF file"));
  write("model.safetensors", "");
  EXPECT_THAT(error_of([&] { open_model_files(path()); }), HasSubstr("config.json: cannot open"));
}

}  // namespace
}  // namespace tessera::formats
