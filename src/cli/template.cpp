#include <CLI/CLI.hpp>
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>

#include "base/error.h"
#include "base/mapped_file.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "formats/open_model_files.h"
#include "hub/model_directory.h"
#include "text/chat_template.h"

namespace tessera::cli {
namespace {

constexpr std::size_t kMaxMessages = std::size_t{256} << 20;

struct TemplateFlags {
  std::string model;
  std::string file;
  std::string messages;
  std::string now;
};

text::ChatTemplate open_template(const TemplateFlags& flags) {
  if (!flags.file.empty()) return text::ChatTemplate(read_file(flags.file), flags.file);
  const std::string path = flags.model.empty() ? hub::default_model() : hub::resolve_model(flags.model);
  const formats::ModelFiles files = formats::open_model_files(path);
  if (!files.chat_template) {
    fail(ErrorKind::bad_input, "{}: expected a model with a chat template, found none; name one with --file",
         path);
  }
  return text::ChatTemplate(*files.chat_template, path);
}

std::string read_messages(const std::string& path) {
  if (path != "-") return read_file(path, kMaxMessages);
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

std::optional<std::tm> read_now(const std::string& text) {
  if (text.empty()) return std::nullopt;
  std::tm now{};
  std::istringstream in(text);
  in >> std::get_time(&now, "%Y-%m-%dT%H:%M:%S");
  if (in.fail() || in.peek() != std::istringstream::traits_type::eof()) {
    fail(ErrorKind::bad_usage, "--now: expected a time such as 2025-01-31T12:00:00, found '{}'",
         printable(text));
  }
  now.tm_isdst = -1;
  std::mktime(&now);  // fills in the day of the week and of the year
  return now;
}

void run_template(const TemplateFlags& flags) {
  if (flags.messages.empty()) {
    fail(ErrorKind::bad_usage,
         "expected --messages FILE, found none; 'tessera template --help' shows an example");
  }
  const std::optional<std::tm> now = read_now(flags.now);
  const text::ChatTemplate chat_template = open_template(flags);
  const std::string context = read_messages(flags.messages);
  const std::string rendered = chat_template.render(context, {}, now).text;
  if (std::fwrite(rendered.data(), 1, rendered.size(), stdout) != rendered.size() ||
      std::fflush(stdout) != 0) {
    fail(ErrorKind::io, "standard output: expected to write {} bytes, could not", rendered.size());
  }
}

}  // namespace

void define_template(CLI::App& app) {
  auto flags = std::make_shared<TemplateFlags>();
  auto* model = add_option(app, "-m,--model", flags->model,
                           "model whose chat template to render (default: the default model)");
  auto* file = add_option(app, "--file", flags->file, "Jinja file to render instead of a model's template");
  file->excludes(model);
  add_option(app, "--messages", flags->messages,
             "needed: JSON file with the template's variables, or - for standard input: an object with "
             "messages, tools, "
             "add_generation_prompt, bos_token, ...");
  add_option(app, "--now", flags->now,
             "local time for strftime_now, such as 2025-01-31T12:00:00 (default: the clock)");
  app.footer(
      "Prints exactly the rendered text, nothing added. Example:\n"
      "  echo '{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"add_generation_prompt\": true}' "
      "|\n"
      "    tessera template --messages -");
  app.callback([flags] { run_template(*flags); });
}

}  // namespace tessera::cli
