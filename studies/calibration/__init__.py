"""Temperatures, outage and deadlines: calibration-aided offloading on our cascades."""
