// Continues a text: generate [MODEL [TEXT]]. MODEL is a GGUF file, a Hugging Face folder, or a model's name.
#include <cstdio>

#include "base/error.h"
#include "engine/generator.h"
#include "hub/model_directory.h"

using namespace tessera;

int main(int argc, char** argv) {
  try {
    const std::string path = argc > 1 ? hub::resolve_model(argv[1]) : hub::default_model();
    const std::string text = argc > 2 ? argv[2] : "Once upon a time";
    const auto model = std::make_shared<const engine::LoadedModel>(engine::load_model(path));
    engine::Generator generator(model, {.context_size = 256});
    engine::Sequence sequence = generator.new_sequence();
    const engine::Request request{.prompt = generator.tokenizer().encode(text),
                                  .sampling = {.temperature = 0.7F, .top_p = 0.95F, .seed = 7},
                                  .max_new_tokens = 40};
    std::printf("%s", text.c_str());
    const auto print = [](const engine::GeneratedPiece& piece) {
      std::printf("%s", piece.text.c_str());
      std::fflush(stdout);
    };
    const engine::GenerationResult result = generator.generate(sequence, request, print);
    std::printf("\n\n%lld tokens, %.1f tokens/s\n", static_cast<long long>(result.usage.completion_tokens),
                result.timings.decode_per_second());
    return result.text.empty() ? 1 : 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
