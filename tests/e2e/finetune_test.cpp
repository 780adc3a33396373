// tessera finetune, generate --lora and merge as people run them, on a model that a few steps trained.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "support/run_command.h"
#include "support/test_paths.h"

namespace tessera::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FinetuneCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string text;
    for (int i = 0; i < 60; ++i) text += "the cat sat on the mat and saw a rat.\n";
    write_file_atomically(path("base.txt"), text);
    text.clear();
    for (int i = 0; i < 60; ++i) text += "zzz zzz zzz zzz zzz zzz cat.\n";
    write_file_atomically(path("more.txt"), text);
    write_file_atomically(path("all.txt"), text + "the cat sat on the mat and saw a rat.\n");
    run({"tokenizer", "train", "--type", "char", "-o", path("tokenizer"), path("all.txt")});
    run({"data", "-m", path("tokenizer") + "/tokenizer.json", "-o", path("data"), path("base.txt")});
    run({"train", "--data",         path("data"), "--out",         path("base"), "--layers",
         "1",     "--heads",        "2",          "--hidden-size", "16",         "--seq-len",
         "16",    "--steps",        "30",         "--warmup",      "2",          "--learning-rate",
         "0.02",  "--architecture", "llama"});
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  std::string base() const { return path("base") + "/latest"; }
  CommandResult run(const std::vector<std::string>& arguments) const {
    CommandResult result = run_tessera(arguments);
    EXPECT_EQ(result.exit_code, 0) << arguments.front() << ": " << result.errors;
    return result;
  }
  CommandResult finetune(const std::vector<std::string>& more, bool expect_success = true) const {
    std::vector<std::string> arguments{
        "finetune", "-m", base(),     "--data", path("more.txt"),  "--seq-len", "16",
        "--steps",  "40", "--warmup", "2",      "--learning-rate", "0.05",      "--minimum-learning-rate",
        "0.01"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return expect_success ? run(arguments) : run_tessera(arguments);
  }
  std::string text_of(const std::vector<std::string>& model) const {
    std::vector<std::string> arguments{"generate", "-p", "zz", "-n", "12", "--temp", "0", "-c", "16"};
    arguments.insert(arguments.end(), model.begin(), model.end());
    return run(arguments).output;
  }

  TemporaryFolder folder_;
};

TEST_F(FinetuneCommand, MakesAnAdapterThatRunsAndMerges) {
  const CommandResult trained = finetune({"--out", path("mine"), "--lora-r", "4"});
  EXPECT_THAT(trained.output, HasSubstr("in 7 modules are trained"));
  EXPECT_THAT(trained.output, HasSubstr("--lora " + path("mine")));
  const std::string adapter = path("mine") + "/latest";
  EXPECT_TRUE(fs::exists(adapter + "/adapter_config.json"));
  const std::string plain = text_of({"-m", base()});
  const std::string adapted = text_of({"-m", base(), "--lora", adapter});
  EXPECT_NE(plain, adapted);
  EXPECT_THAT(adapted, HasSubstr("zz"));
  run({"merge", "-m", base(), "--lora", adapter, "-o", path("merged")});
  EXPECT_EQ(text_of({"-m", path("merged")}), adapted);
  run({"merge", "-m", base(), "--lora", adapter, "-o", path("merged.gguf"), "--type", "F32"});
  EXPECT_EQ(text_of({"-m", path("merged.gguf")}), adapted);
}

TEST_F(FinetuneCommand, TrainsAllWeightsWithFull) {
  finetune({"--out", path("full"), "--full"});
  EXPECT_TRUE(fs::exists(path("full") + "/latest/model.safetensors"));
  EXPECT_THAT(text_of({"-m", path("full") + "/latest"}), HasSubstr("zz"));
}

TEST_F(FinetuneCommand, SaysWhatIsWrong) {
  const auto error = [&](const std::vector<std::string>& more) {
    const CommandResult result = finetune(more, false);
    EXPECT_NE(result.exit_code, 0);
    return result.errors;
  };
  EXPECT_THAT(error({}), HasSubstr("--out"));
  EXPECT_THAT(error({"--out", path("x"), "--lora-r", "0"}), HasSubstr("lora-r"));
  EXPECT_THAT(error({"--out", path("x"), "--target-modules", "wq"}), HasSubstr("q_proj"));
  const CommandResult missing = run_tessera({"generate", "-m", base(), "--lora", path("none"), "-p", "z"});
  EXPECT_NE(missing.exit_code, 0);
  EXPECT_THAT(missing.errors, HasSubstr("adapter_config.json"));
}

}  // namespace
}  // namespace tessera::testing
