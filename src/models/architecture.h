// What an architecture's file gives to the registry: its names, and how to make a model of it.
#pragma once
#include <memory>

#include "models/model.h"

namespace tessera::models {

struct Architecture {
  ArchitectureNames names;
  std::unique_ptr<Model> (*create)(const WeightSource& source, const ModelOptions& options) = nullptr;
};

}  // namespace tessera::models
