#include "cli/commands.h"

#include <array>

#include "cli/command.h"

namespace tessera::cli {

// One line a command; each is defined in the file of its name.

std::span<const Command> commands() {
  static constexpr std::array kCommands = {
      Command{"chat", "talk with a model", define_chat},
      Command{"generate", "continue a text; in a terminal, tell a story together", define_generate},
      Command{"sessions", "list, search, export or delete saved conversations", define_sessions},
      Command{"serve", "answer many over HTTP, as OpenAI's API does", define_serve},
      Command{"pull", "get a model from the Hugging Face hub", define_pull},
      Command{"models", "list the models on this machine, or remove one", define_models},
      Command{"tokenize", "turn text into token ids, and back", define_tokenize},
      Command{"template", "render a chat template", define_template},
      Command{"data", "turn texts and conversations into token files for training", define_data},
      Command{"tokenizer", "make a tokenizer out of texts", define_tokenizer},
      Command{"train", "train a model, from scratch or further", define_train},
      Command{"finetune", "train a model further on data of your own, by LoRA or all of it", define_finetune},
      Command{"merge", "put a LoRA adapter into the weights of its model", define_merge},
      Command{"plot", "draw the curves of training runs", define_plot},
      Command{"quantize", "store a model in fewer bits, as a GGUF file", define_quantize},
      Command{"perplexity", "measure how well a model predicts a text", define_perplexity},
      Command{"bench", "measure the speed of prefill and decode", define_bench},
      Command{"inspect", "tell what a model file holds", define_inspect},
      Command{"help", "explain the commands, or one of them", define_help},
  };
  return kCommands;
}

}  // namespace tessera::cli
