// Which form a convolution takes on the CPU: the definition, by oneDNN or by loops, or Winograd's
// (winograd.h). The choice holds for the whole process; a run makes it when it starts.
#pragma once
#include <utility>
#include <vector>

#include "kernels/conv.h"

namespace noisette::cpu {

enum class ConvForm { direct, winograd };

/// One pass of a convolution in f32 or bf16.
struct ConvCase {
  ConvPass pass = ConvPass::forward;
  ConvDims dims = {};
  bool bf16 = false;
  bool operator==(const ConvCase&) const = default;
};

/// Whether there is anything to choose: Winograd takes the shape, and it is not one of the narrow
/// ones that have loops of their own (conv_narrow.h).
bool has_forms(const ConvCase& c);

/// The form that is expected to be faster, by the shape and by what bf16 arithmetic the CPU has.
ConvForm form_by_rule(const ConvCase& c);

/// automatic: by rule, but for the exceptions. The other two wherever there is a choice.
enum class ConvMode { automatic, winograd, direct };

struct ConvChoice {
  ConvMode mode = ConvMode::automatic;
  std::vector<std::pair<ConvCase, ConvForm>> exceptions = {};
};

/// From here on; not while a kernel runs.
void choose_conv_forms(ConvChoice choice);
const ConvChoice& conv_choice();

ConvForm conv_form(const ConvCase& c);

}  // namespace noisette::cpu
