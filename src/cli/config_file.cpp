#include "cli/config_file.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <optional>

#include "base/error.h"
#include "base/near_names.h"
#include "base/standard_folders.h"
#include "cli/options.h"

namespace tessera::cli {
namespace {

// One line of the file, read from left to right.
class LineReader {
 public:
  LineReader(std::string_view line, const std::string& path, int number)
      : rest_(line), path_(&path), number_(number) {}

  void skip_blanks() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t' || rest_.front() == '\r')) {
      rest_.remove_prefix(1);
    }
  }
  bool at_end() {
    skip_blanks();
    return rest_.empty() || rest_.front() == '#';
  }
  bool take(char wanted) {
    skip_blanks();
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string bare_word() {
    skip_blanks();
    std::size_t length = 0;
    while (length < rest_.size() && is_bare(rest_[length])) ++length;
    const std::string word(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return word;
  }
  std::string key() {
    skip_blanks();
    std::string name = !rest_.empty() && rest_.front() == '"' ? basic_string() : bare_word();
    if (name.empty()) expected("a key");
    std::replace(name.begin(), name.end(), '_', '-');
    return name;
  }
  std::vector<std::string> value() {
    if (!take('[')) return {scalar()};
    std::vector<std::string> values;
    while (!take(']')) {
      values.push_back(scalar());
      if (take(',')) continue;
      if (!take(']')) expected("',' or ']' in an array on one line");
      break;
    }
    return values;
  }
  [[noreturn]] void expected(std::string_view what) const {
    fail(ErrorKind::bad_usage, "{}:{}: expected {}, found '{}'", *path_, number_, what, printable(rest_, 40));
  }

 private:
  static bool is_bare(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '+' || c == '.';
  }
  std::string scalar() {
    skip_blanks();
    if (rest_.substr(0, 3) == "\"\"\"" || rest_.substr(0, 3) == "'''") expected("a string on one line");
    if (!rest_.empty() && rest_.front() == '"') return basic_string();
    if (!rest_.empty() && rest_.front() == '\'') return literal_string();
    std::string word = bare_word();
    const bool number = !word.empty() && (std::isdigit(static_cast<unsigned char>(word.front())) != 0 ||
                                          word.front() == '-' || word.front() == '+' || word.front() == '.');
    if (!number && word != "true" && word != "false" && word != "inf" && word != "nan") {
      rest_ = word.empty() ? rest_ : std::string_view(rest_.data() - word.size(), rest_.size() + word.size());
      expected("a value: \"text\", a number, true or false");
    }
    word.erase(std::remove(word.begin(), word.end(), '_'), word.end());  // 1_000
    return word;
  }
  std::string literal_string() {
    const std::size_t end = rest_.find('\'', 1);
    if (end == std::string_view::npos) expected("a closing '");
    std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  std::string basic_string() {
    std::string text;
    std::size_t at = 1;
    while (at < rest_.size() && rest_[at] != '"') {
      if (rest_[at] != '\\') {
        text += rest_[at++];
        continue;
      }
      static constexpr std::string_view kEscapes = "\"\\ntrbf";
      static constexpr std::string_view kMeanings = "\"\\\n\t\r\b\f";
      const std::size_t which = at + 1 < rest_.size() ? kEscapes.find(rest_[at + 1]) : std::string_view::npos;
      if (which == std::string_view::npos) expected(R"(one of the escapes \" \\ \n \t \r \b \f)");
      text += kMeanings[which];
      at += 2;
    }
    if (at >= rest_.size()) expected("a closing \"");
    rest_.remove_prefix(at + 1);
    return text;
  }

  std::string_view rest_;
  const std::string* path_;
  int number_;
};

const CLI::Option* find_option(const CLI::App& command, const std::string& key) {
  const CLI::Option* option = command.get_option_no_throw("--" + key);
  return option == nullptr || key == "help" || key == "version" || key == "config" ? nullptr : option;
}

std::string suggestion(const std::string& wanted, const std::vector<std::string>& names) {
  const auto near = near_names(wanted, names, 1);
  return near.empty() ? std::string() : "; did you mean '" + near.front() + "'?";
}

// The entries that mean something to `app`, as CLI11 takes them.
class ConfigReader : public CLI::Config {
 public:
  explicit ConfigReader(CLI::App& app) : app_(&app) {}

  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return {}; }

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    const std::string path = app_->get_config_ptr()->as<std::string>();
    const std::string text{std::istreambuf_iterator<char>(input), std::istreambuf_iterator<char>()};
    std::vector<CLI::ConfigItem> accepted;
    std::vector<ConfigEntry> entries = parse_config(text, path);
    // What stands in a command's own section goes before what stands at the top: the first value counts.
    std::stable_partition(entries.begin(), entries.end(),
                          [](const auto& entry) { return !entry.section.empty(); });
    const auto chosen = app_->get_subcommands();
    for (const ConfigEntry& entry : entries) {
      require_known(entry, path);
      if (chosen.empty()) continue;
      const CLI::App& command = *chosen.front();
      if (!entry.section.empty() && entry.section != command.get_name()) continue;
      const CLI::Option* option = find_option(command, entry.key);
      if (option == nullptr || !environment_value(option->get_envname().c_str()).empty()) continue;
      CLI::ConfigItem item;
      item.parents = {command.get_name()};
      item.name = entry.key;
      item.inputs = entry.values;
      accepted.push_back(std::move(item));
    }
    return accepted;
  }

 private:
  void require_known(const ConfigEntry& entry, const std::string& path) const {
    std::vector<std::string> sections;
    std::vector<std::string> keys;
    for (const CLI::App* command : app_->get_subcommands({})) {
      sections.push_back(command->get_name());
      if (!entry.section.empty() && entry.section != command->get_name()) continue;
      if (find_option(*command, entry.key) != nullptr) return;
      for (const CLI::Option* option : command->get_options()) keys.push_back(option->get_name().substr(2));
    }
    if (!entry.section.empty() &&
        std::find(sections.begin(), sections.end(), entry.section) == sections.end()) {
      fail(ErrorKind::bad_usage, "{}:{}: expected a command in [...], found '{}'{}", path, entry.line,
           printable(entry.section), suggestion(entry.section, sections));
    }
    fail(ErrorKind::bad_usage, "{}:{}: expected a flag of {}, found '{}'{}", path, entry.line,
         entry.section.empty() ? "some command" : "'" + entry.section + "'", printable(entry.key),
         suggestion(entry.key, keys));
  }

  CLI::App* app_;
};

}  // namespace

std::vector<ConfigEntry> parse_config(std::string_view text, const std::string& path) {
  std::vector<ConfigEntry> entries;
  std::string section;
  int number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = std::min(text.find('\n'), text.size());
    LineReader line(text.substr(0, end), path, number);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.at_end()) continue;
    if (line.take('[')) {
      section = line.bare_word();
      if (section.empty() || !line.take(']')) line.expected("[COMMAND]");
    } else {
      ConfigEntry entry;
      entry.section = section;
      entry.line = number;
      entry.key = line.key();
      if (!line.take('=')) line.expected("'=' after '" + printable(entry.key, 40) + "'");
      entry.values = line.value();
      entries.push_back(std::move(entry));
    }
    if (!line.at_end()) line.expected("the end of the line");
  }
  return entries;
}

void add_config_file(CLI::App& app) {
  const std::string usual = (config_folder() / "tessera" / "config.toml").string();
  const std::string named = environment_value("TESSERA_CONFIG");
  if (!named.empty() && CLI::ExistingFile(named).empty() == false) {
    fail(ErrorKind::bad_usage, "TESSERA_CONFIG: expected a file, found '{}'", printable(named, 300));
  }
  app.config_formatter(std::make_shared<ConfigReader>(app));
  app.set_config("--config", named.empty() ? usual : named,
                 "TOML file with flags for every command, or for one below [COMMAND] (also TESSERA_CONFIG)");
}

}  // namespace tessera::cli
