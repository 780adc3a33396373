// Text to train on that needs no download: small stories, expanded from a grammar that is ours
// (stories.grammar says how it is written). make_stories GRAMMAR [COUNT] [SEED] prints COUNT stories, an
// empty line between them.
#include <cctype>
#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"

using namespace tessera;

struct Rule {
  bool once = false;  // let: chosen once a story
  std::vector<std::string> options = {};
};
using Grammar = std::map<std::string, Rule>;
using Choices = std::map<std::string, std::string>;

Grammar read_grammar(const std::string& path) {
  Grammar grammar;
  Rule* rule = nullptr;
  const std::string text = read_file(path) + "\n";
  for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text.substr(begin, end - begin);
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == ' ') {
      if (rule == nullptr)
        fail(ErrorKind::bad_input, "{}: expected a name before '{}'", path, printable(line));
      rule->options.push_back(line.substr(line.find_first_not_of(' ')));
      continue;
    }
    const bool once = line.rfind("let ", 0) == 0;
    rule = &grammar[line.substr(once ? 4 : 0, line.find(':') - (once ? 4 : 0))];
    rule->once = once;
  }
  return grammar;
}

std::string part(const std::string& text, int index) {
  std::size_t begin = 0;
  for (; index > 0; --index) begin = text.find('/', begin) + 1;
  return text.substr(begin, text.find('/', begin) - begin);
}

std::string expand(const Grammar& grammar, std::string name, Choices& choices, std::mt19937& random) {
  const bool large = name.back() == '^';
  if (large) name.pop_back();
  const bool has_part = name.size() > 2 && name[name.size() - 2] == '.' && std::isdigit(name.back()) != 0;
  const int index = has_part ? name.back() - '0' : 0;
  if (has_part) name.resize(name.size() - 2);
  const auto found = grammar.find(name);
  if (found == grammar.end()) fail(ErrorKind::bad_input, "the grammar has no '{}'", printable(name));
  std::string option = found->second.options.at(random() % found->second.options.size());
  if (found->second.once) option = part(choices.emplace(name, option).first->second, index);
  for (std::size_t at = 0; (at = option.find('{', at)) != std::string::npos;) {
    const std::size_t end = option.find('}', at);
    const std::string text = expand(grammar, option.substr(at + 1, end - at - 1), choices, random);
    option.replace(at, end - at + 1, text);
    at += text.size();
  }
  if (large) option[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(option[0])));
  return option;
}

int main(int argc, char** argv) try {
  if (argc < 2) fail(ErrorKind::bad_usage, "usage: make_stories GRAMMAR [COUNT] [SEED]");
  const Grammar grammar = read_grammar(argv[1]);
  std::mt19937 random(argc > 3 ? static_cast<unsigned>(std::stoi(argv[3])) : 1);
  for (int story = 0; story < (argc > 2 ? std::stoi(argv[2]) : 3); ++story) {
    Choices choices;
    std::printf("%s\n\n", expand(grammar, "story", choices, random).c_str());
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
