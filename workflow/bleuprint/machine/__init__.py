"""What the stages run on: devices, memory, versions."""
