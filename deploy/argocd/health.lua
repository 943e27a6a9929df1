-- Health of an OS object for Argo CD: the value of resource.customizations.health.warmroot.io_OS in argocd-cm
-- (docs/gitops.md). It reads the conditions that kstatus reads, and says Suspended where a person is waited for.
local function result(status, message)
  return { status = status, message = message }
end

local status = obj.status
if status == nil or status.conditions == nil then
  return result("Progressing", "the operator has not looked at it yet")
end
if obj.metadata.generation ~= nil and (status.observedGeneration or 0) < obj.metadata.generation then
  return result("Progressing", "the operator has not looked at this change yet")
end

local by = {}
for _, condition in ipairs(status.conditions) do
  by[condition.type] = condition
end
local function holds(kind)
  return by[kind] ~= nil and by[kind].status == "True"
end

if holds("Stalled") then
  return result("Degraded", by["Stalled"].message)
end
if holds("Ready") then
  return result("Healthy", by["Ready"].message)
end
local rollout = obj.spec.rollout or {}
if rollout.paused then
  return result("Suspended", "spec.rollout.paused is true")
end
if status.wave ~= nil and status.wave.approved == false then
  return result("Suspended", "wave " .. status.wave.name .. " waits for an approval")
end
local message = (status.ready or "0/0") .. " nodes"
if status.waitingOn ~= nil and status.waitingOn ~= "" then
  message = message .. ", waits: " .. status.waitingOn
end
return result("Progressing", message)
