// A character model from a text, and what it writes then: train_characters TEXT [STEPS [FOLDER]].
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "engine/generator.h"
#include "text/tokenizer_training.h"
#include "train/prepare_data.h"
#include "train/training_run.h"

using namespace tessera;

// FOLDER/tokenizer.json, train.tokens and validation.tokens; returns how many characters there are.
std::size_t prepare(const std::string& text_path, const std::string& folder) {
  const auto file = MappedFile::open(text_path);
  const std::string_view text = file->text();
  const auto trained = text::train_characters(std::span(&text, 1), {});
  std::filesystem::create_directories(folder);
  write_file_atomically(folder + "/tokenizer.json", trained.tokenizer_json);
  const auto tokenizer = text::load_tokenizer_json(folder + "/tokenizer.json");
  train::prepare_data(*tokenizer, nullptr, {.inputs = {text_path}}, folder);
  return trained.vocabulary_size;
}

void tell(const train::StepLine& line) {
  if (line.result.step % 20 != 0 && !line.validation_loss) return;
  std::printf("step %lld  loss %.3f", static_cast<long long>(line.result.step), line.result.loss);
  if (line.validation_loss) std::printf("  validation %.3f", *line.validation_loss);
  std::printf("\n");
}

std::string write_something(const std::string& checkpoint) {
  const auto model = std::make_shared<const engine::LoadedModel>(engine::load_model(checkpoint));
  engine::Generator generator(model, {});
  engine::Sequence sequence = generator.new_sequence();
  const engine::Request request{.prompt = generator.tokenizer().encode("The "),
                                .sampling = {.temperature = 0.8F, .seed = 3},
                                .max_new_tokens = 50};
  return generator.generate(sequence, request).text;
}

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: train_characters TEXT [STEPS [FOLDER]]\n");
    return 2;
  }
  try {
    train::TrainingConfig config;
    config.steps = argc > 2 ? std::atoll(argv[2]) : 500;
    const std::string folder = argc > 3 ? argv[3] : "characters";
    config.data = folder + "/data";
    config.out = folder + "/model";
    config.evaluate_every = config.save_every = 0;  // at the end alone
    const std::size_t characters = prepare(argv[1], config.data);
    train::TrainingEvents events;
    events.step = tell;
    const train::TrainingResult result = train::run_training(config, events);
    std::printf("%zu characters; in %s:\n\nThe %s\n", characters, result.checkpoint.c_str(),
                write_something(result.checkpoint).c_str());
    // Worse than guessing among all characters alike: nothing was learnt.
    return result.validation_loss && *result.validation_loss < std::log(static_cast<double>(characters)) ? 0
                                                                                                         : 1;
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
