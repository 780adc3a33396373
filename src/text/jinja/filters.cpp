#include <map>

#include "text/jinja/builtins.h"

namespace tessera::text::jinja {

Function find_filter(std::string_view name) {
  static const std::map<std::string_view, Function> kFilters = [] {
    std::map<std::string_view, Function> all;
    for (const auto table :
         {text_filters(), layout_filters(), sequence_filters(), selection_filters(), number_filters()}) {
      for (const NamedFunction& entry : table) all.emplace(entry.name, entry.function);
    }
    return all;
  }();
  const auto place = kFilters.find(name);
  return place != kFilters.end() ? place->second : nullptr;
}

}  // namespace tessera::text::jinja
