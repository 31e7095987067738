// What `noisette sample -o` writes: grids, folders of pictures, data sets.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "models/unet/unet.h"
#include "train/sampling.h"

namespace noisette::commands {

enum class OutputKind { grid, set, folder };
struct Output {
  OutputKind kind;
  std::filesystem::path path;  // a folder's ends with /
};

/// What each -o asks for, no file twice. Throws UsageError for what cannot be meant, for a file
/// that is no older set of samples, and for a folder whose files would be mixed with these.
std::vector<Output> outputs_of(const std::vector<std::string>& texts);

/// Images as drawn for `request` by a network of `config`, with what is said of them.
struct Samples {
  const std::vector<uint8_t>& pixels;
  const SampleRequest& request;
  const UNetConfig& config;
  int64_t classes;                          // of which images were asked for
  std::map<std::string, std::string> text;  // goes into the files
};

/// columns: of a grid; 0: as many as the largest class has images. A folder is left empty when a
/// picture cannot be written.
void write_output(const Output& output, const Samples& samples, int64_t columns);

}  // namespace noisette::commands
