// How each command adds its flags; each is in the file of its name.
#pragma once

namespace CLI {
class App;
}

namespace tessera::cli {

void define_chat(CLI::App& app);
void define_data(CLI::App& app);
void define_help(CLI::App& app);
void define_inspect(CLI::App& app);
void define_merge(CLI::App& app);
void define_models(CLI::App& app);
void define_pull(CLI::App& app);
void define_sessions(CLI::App& app);
void define_template(CLI::App& app);
void define_tokenize(CLI::App& app);
void define_tokenizer(CLI::App& app);
void define_quantize(CLI::App& app);
void define_generate(CLI::App& app);
void define_perplexity(CLI::App& app);
void define_bench(CLI::App& app);
void define_serve(CLI::App& app);
void define_finetune(CLI::App& app);
void define_plot(CLI::App& app);
void define_train(CLI::App& app);

}  // namespace tessera::cli
