#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/session_lines.h"
#include "cli/terminal.h"
#include "store/session_files.h"
#include "store/session_store.h"

namespace tessera::cli {
namespace {

using store::SessionStore;

constexpr std::size_t kMostImportedBytes = std::size_t{1} << 30U;

constexpr const char* kFooter = R"(
'tessera chat' saves its conversations in ${XDG_DATA_HOME:-~/.local/share}/tessera/sessions.db, with every branch
that /undo, /retry and /edit leave behind; 'tessera chat --resume N' goes on with one.

Examples:
  tessera sessions                        the newest, with their numbers
  tessera sessions search capital france
  tessera sessions export 12 --markdown
  tessera sessions export --all -o backup.json
  tessera sessions import backup.json)";

struct SessionsOptions {
  std::int64_t limit = 50;
  bool archived = false;
  bool json = false;
  bool markdown = false;
  bool all = false;
  bool yes = false;
  std::vector<std::string> numbers;
  std::vector<std::string> words;
  std::string file;
  std::string output;
};

void print(const std::string& text) {
  const std::string shown = for_standard_output(text);
  std::fwrite(shown.data(), 1, shown.size(), stdout);
}

void list(SessionStore& store, const SessionsOptions& options) {
  const store::SessionPage page =
      store.list(store.user(store::kLocalUser), {.limit = options.limit, .archived = options.archived});
  if (options.json) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const store::Session& session : page.sessions) {
      all.push_back({{"id", static_cast<std::int64_t>(session.id)},
                     {"title", session.title},
                     {"model", session.model},
                     {"messages", session.message_count},
                     {"created_at", session.created_at},
                     {"updated_at", session.updated_at},
                     {"archived", session.archived}});
    }
    fmt::print("{}\n", all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return;
  }
  print(session_lines(page.sessions));
  if (page.sessions.empty()) fmt::print(stderr, "no sessions in {}\n", terminal_safe(store.path()));
  if (page.next) fmt::print(stderr, "there are older ones; -n {} shows more\n", options.limit * 2);
}

void search(SessionStore& store, const SessionsOptions& options) {
  std::string words;
  for (const std::string& word : options.words) words += (words.empty() ? "" : " ") + word;
  const store::SearchPage page = store.search(store.user(store::kLocalUser), words, {.limit = options.limit});
  if (page.hits.empty()) fail(ErrorKind::bad_input, "found nothing with '{}'", printable(words));
  print(hit_lines(page.hits));
  if (page.next) fmt::print(stderr, "there are more; -n {} shows them\n", options.limit * 2);
}

void show(SessionStore& store, const SessionsOptions& options) {
  const store::SessionTree tree = store.tree(session_number(options.numbers.front()));
  print(store::session_as_markdown(tree));
}

std::vector<store::SessionTree> chosen_trees(SessionStore& store, const SessionsOptions& options) {
  std::vector<store::SessionTree> trees;
  trees.reserve(options.numbers.size());
  for (const std::string& number : options.numbers) trees.push_back(store.tree(session_number(number)));
  if (!options.all) return trees;
  for (const bool archived : {false, true}) {
    store::ListOptions page_options{.limit = 500, .archived = archived};
    do {
      const store::SessionPage page = store.list(store.user(store::kLocalUser), page_options);
      for (const store::Session& session : page.sessions) trees.push_back(store.tree(session.id));
      page_options.after = page.next;
    } while (page_options.after);
  }
  return trees;
}

void export_sessions(SessionStore& store, const SessionsOptions& options) {
  if (options.all == !options.numbers.empty()) {
    fail(ErrorKind::bad_usage, "expected the numbers of sessions, or --all");
  }
  const std::vector<store::SessionTree> trees = chosen_trees(store, options);
  std::string text;
  if (options.markdown) {
    for (const store::SessionTree& tree : trees)
      text += (text.empty() ? "" : "\n") + session_as_markdown(tree);
  } else {
    text = store::sessions_as_json(trees);
  }
  if (options.output.empty()) return print(text);
  write_file_atomically(options.output, text);
  fmt::print(stderr, "{} session{} written to {}\n", trees.size(), trees.size() == 1 ? "" : "s",
             terminal_safe(options.output));
}

void import_sessions(SessionStore& store, const SessionsOptions& options) {
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  const std::string text = read_file(options.file, kMostImportedBytes);
  const auto read = store::is_markdown(text) ? store::sessions_from_markdown : store::sessions_from_json;
  const std::vector<store::SessionTree> trees = read(text, options.file, now.count());
  for (const store::SessionId id : store.add_trees(store.user(store::kLocalUser), trees)) {
    print(session_lines({store.session(id)}));
  }
}

void delete_sessions(SessionStore& store, const SessionsOptions& options) {
  std::vector<store::Session> sessions;
  sessions.reserve(options.numbers.size());
  for (const std::string& number : options.numbers) sessions.push_back(store.session(session_number(number)));
  if (!options.yes) {
    if (!is_terminal(STDIN_FILENO)) fail(ErrorKind::bad_usage, "expected --yes to delete without asking");
    fmt::print(stderr, "{}delete, with all branches? [y/N] ", terminal_safe(session_lines(sessions)));
    std::string answer;
    std::getline(std::cin, answer);
    if (answer != "y" && answer != "Y" && answer != "yes") fail(ErrorKind::cancelled, "nothing was deleted");
  }
  for (const store::Session& session : sessions) store.erase(session.id);
  fmt::print(stderr, "deleted {} session{}\n", sessions.size(), sessions.size() == 1 ? "" : "s");
}

using Action = void (*)(SessionStore&, const SessionsOptions&);

}  // namespace

void define_sessions(CLI::App& app) {
  const auto options = std::make_shared<SessionsOptions>();
  const auto action = std::make_shared<Action>(list);
  const auto add = [&](const char* name, const char* summary, Action run) -> CLI::App& {
    CLI::App& command = *app.add_subcommand(name, summary);
    command.preparse_callback([action, run](std::size_t) { *action = run; });
    return command;
  };
  const auto add_limit = [&](CLI::App& command) {
    add_option(command, "-n,--limit", options->limit, "most lines");
  };
  const auto add_numbers = [&](CLI::App& command) {
    return command.add_option("N", options->numbers, "the number of a session");
  };
  CLI::App& listing = add("list", "the newest first (also without a word)", list);
  add_limit(listing);
  add_flag(listing, "--archived", options->archived, "the archived ones instead");
  add_flag(listing, "--json", options->json, "as a JSON array");
  add_numbers(add("show", "the conversation as it stands, as Markdown", show))->required()->expected(1);
  CLI::App& searching = add("search", "messages and titles with all of the words", search);
  add_limit(searching);
  searching.add_option("WORDS", options->words, "parts of words, in either case")->required();
  CLI::App& exporting = add("export", "as JSON with every branch, or as Markdown", export_sessions);
  add_numbers(exporting);
  add_flag(exporting, "--all", options->all, "all sessions");
  add_flag(exporting, "--markdown", options->markdown, "to be read: the current branch alone");
  add_option(exporting, "-o,--output", options->output, "a file instead of standard output");
  CLI::App& importing = add("import", "what export or a chat's /save has written", import_sessions);
  importing.add_option("FILE", options->file, "a JSON or Markdown file")->required();
  CLI::App& deleting = add("delete", "with all their messages, for good", delete_sessions);
  add_numbers(deleting)->required();
  add_flag(deleting, "-y,--yes", options->yes, "do not ask");
  app.require_subcommand(0, 1);
  app.callback([options, action] {
    SessionStore store(store::default_sessions_path());
    (*action)(store, *options);
  });
  app.footer(kFooter);
}

}  // namespace tessera::cli
